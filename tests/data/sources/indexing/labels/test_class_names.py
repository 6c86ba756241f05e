"""Names of classes that are numbers: from a file beside the images, if it has one for each."""

from pathlib import Path

import pytest

from iddm_cli.data.sources.indexing.labels.class_names import parse_names

from .datasets import build, images


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (["cat", "dog"], {0: "cat", 1: "dog"}),
        ({"0": "cat", "1": "dog"}, {0: "cat", 1: "dog"}),
        ({"cat": 0, "dog": 1}, {0: "cat", 1: "dog"}),
        ({"0": ["n1", "cat"], "1": ["n2", "dog"]}, {0: "cat", 1: "dog"}),
        ("cat\ndog\n\n", {0: "cat", 1: "dog"}),
        ("1 cat\n2: big dog\n", {1: "cat", 2: "big dog"}),
        ({"a": "b"}, {}),
        ([1, 2], {}),
        (None, {}),
    ],
)
def test_names_are_read_in_each_form(content: object, names: dict[int, str]) -> None:
    assert parse_names(content) == names


@pytest.mark.parametrize(
    ("name", "content", "classes"),
    [
        ("classes.txt", "zebra\nant\n", ("zebra", "ant")),
        ("label_num_to_disease_map.json", '{"0": "rust", "1": "blight"}', ("rust", "blight")),
        ("classes.txt", "only\n", ("0", "1")),
        ("classes.txt", "same\nsame\n", ("0", "1")),
    ],
)
def test_numbers_in_a_table_get_names_if_all_have_one(
    tmp_path: Path, name: str, content: str, classes: tuple[str, ...]
) -> None:
    files = images("a.png", "b.png") | {"train.csv": "image_id,label\na.png,1\nb.png,0\n"}
    index = build(tmp_path, "folder", files | {name: content})
    assert (index.classes, index.labels) == (classes, (1, 0))


def test_metadata_keeps_its_numbers(tmp_path: Path) -> None:
    files = images("a.png", "b.png") | {"metadata.csv": "file_name,label\na.png,1\nb.png,0\n"}
    assert build(tmp_path, "folder", files | {"classes.txt": "x\ny\n"}).classes == ("0", "1")
