"""Samples of several files, as in webdataset."""

from pathlib import Path

import pytest

from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions
from iddm_cli.errors import DatasetError
from tests.data.sources.indexing.folders import pairs

from .datasets import KINDS, build, images

NAMES = [f"{i:06d}" for i in range(4)]


def samples(suffix: str, *contents: str) -> dict[str, bytes | str]:
    """Return the files of samples, in the order of webdataset."""
    files: dict[str, bytes | str] = {}
    for i, name in enumerate(NAMES):
        files[f"{name}.png"] = b""
        files[f"{name}.{suffix}"] = contents[i % len(contents)]
    return files


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("suffix", "contents", "classes"),
    [
        ("cls", ("10\n", "9"), ("9", "10")),
        ("cls", ("cat", "dog"), ("cat", "dog")),
        ("json", ('{"label": "cat"}', '{"label": "dog"}'), ("cat", "dog")),
        ("json", ('{"class": 1, "caption": "x"}', '{"class": 0}'), ("0", "1")),
        ("cls.txt", ("cat", "dog"), ("cat", "dog")),
    ],
)
def test_labels_beside_each_image(
    tmp_path: Path, kind: str, suffix: str, contents: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    index = build(tmp_path, kind, samples(suffix, *contents))
    assert index.classes == classes
    assert len(set(list(pairs(index).values())[:2])) == 2
    assert index.skipped == []
    assert index.notes[0].startswith(f"classes from a file beside each image (.{suffix})")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["seg", "aaa"])
def test_other_images_of_a_sample_are_left_out(tmp_path: Path, kind: str, word: str) -> None:
    files = samples("cls", "0", "1") | images(*(f"{name}.{word}.png" for name in NAMES))
    index = build(tmp_path, kind, files)
    assert len(index.paths) == 4
    assert not any(f".{word}." in path for path in index.paths)
    assert len(index.skipped) == 4


def test_a_key_can_be_configured(tmp_path: Path) -> None:
    files = samples("json", '{"label": "x", "species": "cat"}', '{"species": "dog"}')
    assert build(tmp_path, "tar", files, LabelOptions("species")).classes == ("cat", "dog")
    with pytest.raises(DatasetError, match=r"data\.label_column is kind, but"):
        build(tmp_path, "tar", files, LabelOptions("kind"))


def test_captions_are_no_classes(tmp_path: Path) -> None:
    index = build(tmp_path, "tar", samples("txt", "a cat", "a dog"))
    assert (index.layout, index.classes) == ("flat", ())
    assert index.notes == ["captions are not used: 4 files"]
    assert {reason for _, reason in index.skipped} == {"captions, which give an image no class"}
    files = samples("txt", "a cat") | samples("cls", "0", "1")
    assert build(tmp_path, "tar", files).notes[-1] == "captions in .txt files are not used: 4"


def test_several_classes_of_one_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="gives its image several classes"):
        build(tmp_path, "tar", samples("json", '{"label": [1, 2]}'))


def test_numbers_before_the_suffix_belong_to_the_name(tmp_path: Path) -> None:
    files = images("img.001.png", "img.002.png") | {"img.001.cls": "a", "img.002.cls": "b"}
    assert build(tmp_path, "folder", files).classes == ("a", "b")


def test_facts_beside_images_do_not_replace_class_folders(tmp_path: Path) -> None:
    files = images("cat/1.png", "dog/1.png")
    files |= {"cat/1.json": '{"category": "x"}', "dog/1.json": '{"category": "y"}'}
    assert build(tmp_path, "folder", files).classes == ("cat", "dog")
