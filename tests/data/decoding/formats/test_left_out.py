"""Files that are left out: each kind by its name, with its count and what to do."""

import subprocess
import sys

import numpy as np
import pytest

from iddm_cli.data.decoding.formats.left_out import (
    FAMILIES,
    FORMATS_WITH_EXTRAS,
    OTHER_KINDS,
    describe_left_out,
    drop_left_out,
    explain_dataset_file,
    explain_name,
    find_kind_by_content,
    find_kind_by_reason,
    group_reasons,
)
from iddm_cli.data.decoding.formats.table import IMAGE_SUFFIXES

HEIC = FORMATS_WITH_EXTRAS["HEIC"]


def test_no_suffix_is_in_two_kinds_or_that_of_an_image():
    suffixes = [suffix for kind in OTHER_KINDS for suffix in kind.suffixes]
    suffixes += [suffix for family in FAMILIES.values() for suffix in family]
    assert len({*suffixes}) == len(suffixes)
    assert not {*suffixes} & {*IMAGE_SUFFIXES}


@pytest.mark.parametrize("kind", [*OTHER_KINDS, *FORMATS_WITH_EXTRAS.values()])
def test_each_kind_is_found_by_its_reason(kind):
    assert find_kind_by_reason(kind.reason) is kind
    assert kind.reason.startswith(("a ", "an "))


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.nef", "a camera raw photo"), ("a.mp4", "a video"), ("a.psd", "a layered image"),
     ("a.svg", "a vector graphic"), ("a.exr", "an HDR image"), ("a.pdf", "a PDF"),
     ("a.npz", "a file of many arrays"), ("a.nii.gz", "a medical volume"),
     ("a.zip", "an archive inside"), ("a.tga", "an image in a format"),
     ("a.xml", "not an image: .xml (annotations)"), ("a.abc", "not an image: .abc"),
     ("readme", "not an image, by its first bytes"), ("a.b c", "not an image, by its suffix")],
)  # fmt: skip
def test_names_are_explained(name, words):
    assert explain_name(name).startswith(words)


@pytest.mark.parametrize(
    ("start", "words"),
    [(b"\0\0\0\x14ftypqt  ", "video"), (b"\0\0\0\x18ftypcrx ", "camera raw photo"),
     (b"8BPS\0\1", "layered image"), (b"%PDF-1.7", "PDF"), (b"PK\3\4", "archive"),
     (b"\x89HDF\r\n", "many arrays"), (b"\n<?xml version='1.0'?><svg", "vector")],
)  # fmt: skip
def test_content_under_another_name_is_recognised(start, words):
    assert words in find_kind_by_content(start).singular


def test_each_kind_is_counted_in_a_sentence_of_its_own():
    raw = next(kind for kind in OTHER_KINDS if ".nef" in kind.suffixes)
    skipped = [(f"{i}.heic", HEIC.reason) for i in range(1500)]
    skipped += [("a.nef", raw.reason), ("b.jpg", "damaged: x")]
    assert describe_left_out(skipped) == [
        "1,500 HEIC photos are left out: pip install 'iddm-cli[heif]'",
        f"1 camera raw photo is left out: {raw.remedy}",
    ]
    assert drop_left_out(skipped) == [("b.jpg", "damaged: x")]


def test_reasons_are_grouped_by_suffix_or_by_their_first_words():
    skipped = [("1", "damaged: a, b"), ("2", "not an image: .xml (annotations)")]
    skipped += [("3", "damaged: c"), ("4", "hidden, or"), ("5", "a Git pointer; x")]
    groups = group_reasons(skipped)
    assert list(groups) == ["damaged", ".xml (annotations)", "hidden, or", "a Git pointer"]
    assert groups["damaged"] == ["1", "3"]
    assert "hidden" in group_reasons(skipped, ":;,")


@pytest.mark.parametrize("name", ["it's.npy", "set.npz"])
def test_the_command_that_splits_an_array_works(tmp_path, name):
    array = np.zeros((3, 4, 5), np.uint8)
    (np.savez if name.endswith("npz") else np.save)(tmp_path / name, array)
    command = explain_dataset_file(name).partition(": ")[2]
    command = command.replace("python -c", f"{sys.executable} -c", 1)
    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, check=True)
    assert [path.name for path in sorted((tmp_path / "images").iterdir())] == [
        "000000.npy", "000001.npy", "000002.npy"
    ]  # fmt: skip


def test_other_files_given_as_a_dataset_are_explained():
    assert "this is a video: extract" in explain_dataset_file("film.mp4")
    assert "the folder that the image is in" in explain_dataset_file("a.png")
    assert ".zip or .tar" in explain_dataset_file("a.xyz")
