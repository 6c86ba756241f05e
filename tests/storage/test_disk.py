"""The system calls, where a file system refuses the usual way to make them."""

import errno
import os
import shutil

import pytest

from iddm_cli.storage.disk import Disk


def refuse(code: int):
    def call(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


def test_a_tree_is_removed_where_folders_cannot_be_opened(tmp_path, monkeypatch):
    tree, elsewhere = tmp_path / "tree", tmp_path / "elsewhere"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (tree / "a" / "link").symlink_to(elsewhere)
    monkeypatch.setattr(shutil, "rmtree", refuse(errno.EACCES))
    Disk().remove(tree)
    assert not tree.exists()
    assert (elsewhere / "kept").exists()


def test_a_tree_that_cannot_be_removed_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "rmtree", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        Disk().remove(tmp_path)


def test_a_file_that_cannot_be_opened_for_appending_is_opened_at_its_end(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one ")
    real = type(path).open

    def open_without_append(path, mode="r", *rest, **options):
        return refuse(errno.EOPNOTSUPP)() if "a" in mode else real(path, mode, *rest, **options)

    monkeypatch.setattr(type(path), "open", open_without_append)
    with Disk().append_to(path) as handle:
        handle.write(b"two")
    assert path.read_bytes() == b"one two"
