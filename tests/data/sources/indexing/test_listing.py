"""Listings: names that are safe to print, and files classified by name or first bytes."""

import os
from pathlib import Path

import pytest

from iddm_cli.data.sources.indexing.listing import (
    Listing,
    list_folder,
    to_printable,
)


@pytest.mark.parametrize(
    ("name", "printable"),
    [
        ("cat/1.png", "cat/1.png"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\x1b[2J", r"a\x1b[2J"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u2028b", r"a\u2028b"),
        ("\udcff", r"\xff"),
    ],
)
def test_names_are_printable(name: str, printable: str) -> None:
    assert to_printable(name) == printable
    assert to_printable(name).isprintable()


def test_files_are_classified() -> None:
    heads = {
        "a/photo": b"\xff\xd8\xff",
        "a/1.2.840.113": bytes(128) + b"DICM",
        "a/README": b"Images",
        "a/photo.jpg~": b"\xff\xd8\xff",
    }
    listing = Listing(read_head=lambda path: heads[path])
    for path in ("a/1.PNG", "a/metadata.csv", "a/notes.md", "a/1.txt", *heads):
        listing.add_file(path)
    assert listing.paths == ["a/1.PNG", "a/photo", "a/1.2.840.113"]
    assert listing.label_files == ["a/metadata.csv", "a/1.txt"]
    assert listing.skipped == [
        ("a/notes.md", "not an image: .md (text)"),
        ("a/README", "not an image, by its first bytes"),
        ("a/photo.jpg~", "not an image, by its suffix"),
    ]


def test_folders_whose_inode_numbers_are_all_the_same_are_all_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some network and FUSE file systems; a link to a folder above is still not entered."""
    for name in ("a/1.png", "b/c/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "up").symlink_to("..")
    real = os.stat

    def stat_without_inodes(*args: object, **options: object) -> os.stat_result:
        return os.stat_result([real(*args, **options)[0], 0, 0, *real(*args, **options)[3:]])

    monkeypatch.setattr(os, "stat", stat_without_inodes)
    assert list_folder(tmp_path).paths == ["a/1.png", "b/c/2.png"]


def list_names(*names: str) -> tuple[list[str], list[str]]:
    """The paths used, and those of arrays that are set aside."""
    listing = Listing(paths=[*names])
    listing.set_aside_arrays()
    return listing.paths, [path for path, _ in listing.skipped]


def test_arrays_among_images_are_set_aside() -> None:
    arrays = [f"{i}.npy" for i in range(3)]
    photos = [f"{i}.png" for i in range(10, 13)]
    assert list_names(*arrays) == (arrays, [])
    assert list_names(*arrays, *photos) == ([*arrays, *photos], [])
    assert list_names(*photos, "features.NPY") == (photos, ["features.NPY"])
    assert list_names("1.npy", "2.npy", "1.png") == (["2.npy", "1.png"], ["1.npy"])
