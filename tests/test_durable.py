"""Durable writes: the old or the new content, never a part of either."""

import os

import pytest

from iddm_cli import durable


def test_a_file_is_replaced_atomically(tmp_path):
    path = tmp_path / "a"
    durable.write_file(path, b"old")
    durable.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["create", "write", "flush", "rename"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "a"
    durable.write_file(path, b"old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.disk, call, fails)
    with pytest.raises(OSError, match="No space"):
        durable.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_flushed_before_the_rename_and_the_name_before_returning(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, durable.Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync") or fsync(fd))
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *paths: calls.append("rename") or replace(*paths)
    )
    durable.write_file(tmp_path / "a", b"x")
    assert calls == ["fsync", "rename", "fsync"]


def test_a_folder_is_published_once(tmp_path):
    for content in ("first", "second"):
        temporary = tmp_path / f".partial-{content}"
        temporary.mkdir()
        (temporary / "a").write_text(content)
    durable.publish_folder(tmp_path / ".partial-first", tmp_path / "final")
    with pytest.raises(FileExistsError):
        durable.publish_folder(tmp_path / ".partial-second", tmp_path / "final")
    assert (tmp_path / "final" / "a").read_text() == "first"
    durable.remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_an_incomplete_line_is_not_read(tmp_path):
    lines = durable.LineFile(tmp_path / "a")
    assert lines.read_lines() == []
    lines.append("one")
    lines.append("two")
    with lines.path.open("ab") as file:
        file.write(b"thr")
    assert lines.read_lines() == ["one", "two"]
    lines.rewrite(["one"])
    assert lines.path.read_bytes() == b"one\n"
