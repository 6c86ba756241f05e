"""Class folders on file systems that refuse names, or take two for one."""

import errno
import os
from pathlib import Path

import pytest

from iddm_cli.workflows import class_folders
from iddm_cli.workflows.class_folders import create_class_folders


def create(root: Path, *names: str) -> list[str]:
    labels = dict(enumerate(names))
    chosen = create_class_folders(root, labels, {label: f"class-{label}" for label in labels})
    assert all((root / name).is_dir() for name in chosen.values())
    return list(chosen.values())


def test_ordinary_names_are_kept_whatever_is_there_already(tmp_path):
    for _ in range(2):
        assert create(tmp_path, "Cat", "cat", "a.", "a", "é") == ["Cat", "cat", "a.", "a", "é"]
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENAMETOOLONG, errno.EACCES, errno.ENOENT])
def test_a_name_that_is_refused_is_replaced(tmp_path, monkeypatch, code):
    real = Path.mkdir

    def refuse(path, *rest, **options):
        if ":" in path.name:
            raise OSError(code, os.strerror(code))
        real(path, *rest, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert create(tmp_path, "a:b", "c") == ["class-0", "c"]


def test_a_name_to_which_no_number_can_be_added_is_replaced(tmp_path):
    assert create(tmp_path, "x" * 250, "y" * 200) == ["class-0", "y" * 200]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class-0", "y" * 200]
    assert not list((tmp_path / ("y" * 200)).iterdir())


@pytest.mark.parametrize("names", [("Cat", "cat"), ("a", "a."), ("Straße", "STRASSE")])
def test_of_two_names_that_are_the_same_one_is_replaced(tmp_path, monkeypatch, names):
    monkeypatch.setattr(class_folders, "_list_names", lambda _: {names[0]})
    assert create(tmp_path, *names, "other") == [names[0], "class-1", "other"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        create(tmp_path / "file", "a")
