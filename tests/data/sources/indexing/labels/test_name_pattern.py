"""Labels from file names: the first group of data.label_pattern."""

import zipfile
from pathlib import Path

import pytest

from iddm_cli.data.sources.archive_reader import read_archive
from iddm_cli.data.sources.indexing.index import Index, index_folder
from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions
from iddm_cli.data.sources.indexing.labels.name_pattern import search_all
from iddm_cli.errors import DatasetError
from tests.data.sources.indexing.folders import pairs, touch


def found(root: Path, pattern: str, *names: str) -> Index:
    return index_folder(touch(root, *names), LabelOptions(pattern=pattern))


def test_the_first_group_is_the_class(tmp_path: Path) -> None:
    index = found(tmp_path, "([a-z]+)_", "cat_1.png", "cat_2.png", "dog_1.png")
    assert pairs(index) == {"cat_1.png": "cat", "cat_2.png": "cat", "dog_1.png": "dog"}
    assert index.notes == ["classes from file names, by ([a-z]+)_"]


def test_it_takes_precedence_over_folders_and_tables(tmp_path: Path) -> None:
    touch(tmp_path, "some_folder/cat_1.png", "other/dog_1.png", "other/x.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\nother/dog_1.png,cow\n")
    index = found(tmp_path, "([a-z]+)_")
    assert pairs(index) == {"other/dog_1.png": "dog", "some_folder/cat_1.png": "cat"}
    assert ("other/x.png", "without a class") in index.skipped
    assert "left out: 1 of 3, such as other/x.png" in index.notes[0]


def test_a_pattern_with_a_slash_sees_the_path(tmp_path: Path) -> None:
    index = found(tmp_path, r"^[^/]+/(\w+)/", "a/cat/1.png", "b/dog/1.png", "b/cat/2.png")
    assert index.classes == ("cat", "dog")


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    assert found(tmp_path, r"c(\d+)-", "c10-a.png", "c9-a.png").classes == ("9", "10")


def test_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("x/cat_1.png", "x/dog_1.png"):
            archive.writestr(name, b"")
    index = read_archive(tmp_path / "a.zip", LabelOptions(pattern="([a-z]+)_")).index
    assert pairs(index) == {"x/cat_1.png": "cat", "x/dog_1.png": "dog"}


def test_no_match_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none of the 2 file names, such as 1\.png") as caught:
        found(tmp_path, "([a-z]+)_", "1.png", "2.png")
    assert caught.value.exit_code == 3


def test_a_pattern_that_takes_for_ever_is_stopped() -> None:
    with pytest.raises(DatasetError, match=r"takes more than .* on the file names"):
        search_all("(a+)+$", ["a" * 60 + "b.png"], seconds=0.3)


def test_names_of_any_letters() -> None:
    assert search_all("(.+)_", ["\udcff猫_1.png", "x"]) == ["\udcff猫", None]
