"""The index of a folder: layouts, classes, order, and what is passed over."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from iddm_cli.data.sources.indexing.index import index_folder
from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions
from iddm_cli.data.sources.indexing.listing import IMAGE_SUFFIXES, to_printable
from iddm_cli.data.sources.indexing.system_files import HIDDEN
from iddm_cli.errors import DatasetError

from .folders import pairs, touch


def test_one_folder_for_each_class(tmp_path: Path) -> None:
    found = index_folder(touch(tmp_path, "dog/2.png", "cat/1.JPG", "dog/1.webp", "cat/b/c/0.gif"))
    assert found.layout == "classes"
    assert found.classes == ("cat", "dog")
    assert found.paths == ("cat/1.JPG", "cat/b/c/0.gif", "dog/1.webp", "dog/2.png")
    assert found.labels == (0, 0, 1, 1)
    assert found.skipped == []


def test_flat(tmp_path: Path) -> None:
    found = index_folder(touch(tmp_path, "b.png", "a.png"))
    assert (found.layout, found.paths) == ("flat", ("a.png", "b.png"))
    assert (found.classes, found.labels) == ((), ())


def test_one_images_folder_is_flat(tmp_path: Path) -> None:
    found = index_folder(touch(tmp_path, "images/b.png", "images/deep/a.png", "labels/b.txt"))
    assert (found.layout, found.classes) == ("flat", ())
    assert found.paths == ("images/b.png", "images/deep/a.png")
    assert [name for name, _ in found.skipped] == ["labels", "labels/b.txt"]


def test_classes_inside_an_images_folder(tmp_path: Path) -> None:
    found = index_folder(touch(tmp_path, "images/dog/a.png", "images/cat/a.png"))
    assert pairs(found) == {"images/cat/a.png": "cat", "images/dog/a.png": "dog"}


def test_an_image_beside_the_images_folder(tmp_path: Path) -> None:
    found = index_folder(touch(tmp_path, "images/a.png", "images/b.png", "cover.png"))
    assert (found.layout, found.paths) == ("flat", ("images/a.png", "images/b.png"))
    assert found.skipped == [("cover.png", "outside the folder images")]


def test_images_beside_another_folder_is_a_class(tmp_path: Path) -> None:
    found = index_folder(touch(tmp_path, "images/a.png", "cat/a.png"))
    assert found.classes == ("cat", "images")


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_suffixes_in_any_case(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a{suffix}", f"b{suffix.upper()}", f"c{suffix}.txt", f"d{suffix[1:]}")
    assert index_folder(tmp_path).paths == (f"a{suffix}", f"b{suffix.upper()}")


def test_order_is_that_of_the_bytes(tmp_path: Path) -> None:
    names = ["Z/1.png", "a b/1.png", "a/1.png", "a/10.png", "a/2.png", "ä/1.png", "猫/1.png"]
    found = index_folder(touch(tmp_path, *reversed(names)))
    assert list(found.paths) == sorted(names, key=lambda name: name.encode())
    assert found.classes == ("Z", "a", "a b", "ä", "猫")
    assert all(path.split("/")[0] == name for path, name in pairs(found).items())


def test_litter_is_left_out_and_a_hidden_folder_told_once(tmp_path: Path) -> None:
    litter = ["cat/Thumbs.db", "cat/.DS_Store", "cat/._1.png", "cat/desktop.ini", ".a.png"]
    touch(tmp_path, "cat/1.png", *litter)
    touch(tmp_path, "__MACOSX/cat/1.png", ".ipynb_checkpoints/1.png", "cat/.hidden/2.png")
    found = index_folder(tmp_path)
    assert found.paths == ("cat/1.png",)
    assert dict(found.skipped) == {
        **dict.fromkeys(("cat/.DS_Store", "cat/._1.png", "__MACOSX"), "created by macOS"),
        **dict.fromkeys(("cat/Thumbs.db", "cat/desktop.ini"), "created by Windows"),
        **dict.fromkeys((".a.png", "cat/.hidden"), HIDDEN),
        ".ipynb_checkpoints": "created by Jupyter",
    }


def test_two_dots_at_the_front_are_a_name_like_any_other(tmp_path: Path) -> None:
    assert index_folder(touch(tmp_path, "..x/..1.png", "--help/1.png")).classes == ("--help", "..x")


def test_files_without_a_suffix_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    touch(tmp_path, "empty", "LICENSE")
    (tmp_path / "scan").write_bytes(b"\xff\xd8\xff\xe0 and so on")
    (tmp_path / "text").write_text("P is for image")
    found = index_folder(tmp_path)
    assert found.paths == ("scan",)
    assert {reason for _, reason in found.skipped} == {"not an image, by its first bytes"}


def test_what_is_skipped_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "cat/notes.txt", "cat/noend", "beside.png", "README.md")
    (tmp_path / "dog").mkdir()
    (tmp_path / "cat" / "broken.png").symlink_to("nowhere.png")
    found = index_folder(tmp_path)
    assert found.classes == ("cat",)
    assert found.skipped == [
        ("README.md", "not an image: .md (text)"),
        ("beside.png", "outside the class folders"),
        ("cat/broken.png", "a broken link"),
        ("cat/noend", "not an image, by its first bytes"),
        ("cat/notes.txt", "not an image: .txt (text)"),
        ("dog", "no image in this folder"),
    ]


@pytest.mark.timeout(5)
def test_fifos_and_sockets_are_not_opened(tmp_path: Path) -> None:
    touch(tmp_path, "1.png")
    os.mkfifo(tmp_path / "2.png")
    with socket.socket(socket.AF_UNIX) as ear:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket must be short
        try:
            ear.bind("3.png")
        finally:
            os.chdir(here)
        found = index_folder(tmp_path)
    assert found.paths == ("1.png",)
    reason = "not a regular file"
    assert found.skipped == [("2.png", reason), ("3.png", reason)]


@pytest.mark.timeout(5)
def test_links_that_lead_round_in_a_circle(tmp_path: Path) -> None:
    root = touch(tmp_path / "outer" / "root", "cat/1.png", "dog/1.png")
    touch(tmp_path, "elsewhere/2.png", "outer/secret/3.png")
    (root / "cat" / "up").symlink_to(root)
    (root / "cat" / "further").symlink_to(tmp_path)
    (root / "cat" / "self").symlink_to("self")
    (root / "a-dog").symlink_to(root / "dog")
    (root / "bird").symlink_to(tmp_path / "elsewhere")
    (root / "dog" / "4.png").symlink_to(tmp_path / "elsewhere" / "2.png")
    found = index_folder(root)
    assert found.paths == ("bird/2.png", "cat/1.png", "dog/1.png", "dog/4.png")
    told = {name for name, _ in found.skipped}
    assert told == {"a-dog", "cat/further", "cat/self", "cat/up"}


def test_the_same_folder_twice_and_names_alike(tmp_path: Path) -> None:
    composed, taken_apart = "caf\u00e9", "cafe\u0301"
    found = index_folder(touch(tmp_path, f"{composed}/1.png", f"{taken_apart}/2.png", "tea/3.png"))
    assert found.classes == (composed, "tea")
    assert sorted(found.labels) == [0, 0, 1]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    touch(tmp_path, os.fsdecode(b"caf\xe9/\x1b[31m.png"))
    found = index_folder(tmp_path)
    assert found.classes == (r"caf\xe9",)
    assert (tmp_path / found.paths[0]).exists()
    assert to_printable(found.paths[0]) == r"caf\xe9/\x1b[31m.png"


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    monkeypatch.setattr(os, "scandir", refusing(os.scandir, tmp_path / "dog"))
    found = index_folder(tmp_path)
    assert found.paths == ("cat/1.png",)
    assert ("dog", "cannot be read: Permission denied") in found.skipped
    monkeypatch.setattr(os, "scandir", refusing(os.scandir, tmp_path))
    with pytest.raises(DatasetError, match="cannot be read: Permission denied"):
        index_folder(tmp_path)


def refusing(scandir: Callable, closed: Path) -> Callable:
    def refuse(folder: Path) -> object:
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    return refuse


def test_missing_file_and_empty(tmp_path: Path) -> None:
    touch(tmp_path, "cats.zip", "only/notes.txt")
    for name, message in [
        ("nowhere", "does not exist"),
        ("cats.zip", "is neither a folder of images nor a supported archive"),
        ("only", r"contains no image \(skipped files: 1\)"),
    ]:
        with pytest.raises(DatasetError, match=message) as caught:
            index_folder(tmp_path / name)
        assert caught.value.exit_code == 3
        assert caught.value.hint


@pytest.mark.parametrize(
    ("names", "learnt", "classes"),
    [
        (["train/1.png", "val/1.png"], ["train/1.png"], ()),
        (["Train/1.png", "valid/1.png", "TEST/1.png", "0.png"], ["Train/1.png"], ()),
        (
            ["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"],
            ["train/cat/1.png", "train/dog/1.png"],
            ("cat", "dog"),
        ),
        (["train/cat/1.png", "train/0.png"], ["train/cat/1.png"], ("cat",)),
        (["images/train/1.png", "images/val/1.png"], ["images/train/1.png"], ()),
        (["train/images/1.png", "val/images/1.png"], ["train/images/1.png"], ()),
    ],
)
def test_of_a_split_the_training_part_is_used(
    tmp_path: Path, names: list[str], learnt: list[str], classes: tuple[str, ...]
) -> None:
    found = index_folder(touch(tmp_path, *names))
    assert list(found.paths) == learnt
    assert found.classes == classes
    assert sorted([*learnt, *(name for name, _ in found.skipped)]) == sorted(names)
    has_parts = any("val" in name.lower() or "test" in name for name in names)
    assert any(note.startswith("a split: only ") for note in found.notes) is has_parts


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    found = index_folder(touch(tmp_path, "train/1.png", "bus/1.png"))
    assert found.classes == ("bus", "train")
    assert "warning: classes that may be parts of a split: train;" in found.notes[0]


def test_an_empty_class_inside_a_split_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "val/cat/1.png")
    (tmp_path / "train" / "dog").mkdir()
    assert ("train/dog", "no image in this folder") in index_folder(tmp_path).skipped


def test_a_table_above_the_images_is_about_them(tmp_path: Path) -> None:
    """As Hugging Face lays sets out: beside the folder of images, or above the parts of a split."""
    touch(tmp_path, "one/images/1.png", "one/images/2.png")
    (tmp_path / "one/metadata.csv").write_text("file_name,label\nimages/1.png,a\nimages/2.png,b\n")
    assert pairs(index_folder(tmp_path / "one")) == {"images/1.png": "a", "images/2.png": "b"}
    touch(tmp_path, "two/train/1.png", "two/val/1.png", "two/train/2.png")
    rows = "file_name,label\ntrain/1.png,a\nval/1.png,b\ntrain/3.png,c\n"
    (tmp_path / "two/metadata.csv").write_text(rows)
    found = index_folder(tmp_path / "two")
    assert pairs(found) == {"train/1.png": "a"}
    reasons = dict(found.skipped)
    assert reasons["train/2.png"] == "not in metadata.csv"
    assert reasons["train/3.png"] == "listed in metadata.csv, but missing"
    assert "split" in reasons["val/1.png"]


def test_the_nearest_table_counts_and_the_other_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\nimages/1.png,far\n")
    (tmp_path / "images/metadata.csv").write_text("file_name,label\n1.png,near\n")
    found = index_folder(tmp_path)
    assert found.classes == ("near",)
    assert ("metadata.csv", "a table of labels, but images/metadata.csv is nearer") in found.skipped


def test_a_name_may_be_spelled_with_separate_accents_in_the_table(tmp_path: Path) -> None:
    touch(tmp_path, "caf\u00e9.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\ncafe\u0301.png,a\n")
    assert index_folder(tmp_path).classes == ("a",)


def test_a_column_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no table of labels"):
        index_folder(touch(tmp_path, "cat/1.png"), LabelOptions("breed"))
