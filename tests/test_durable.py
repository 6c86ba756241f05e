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


def test_leftovers_of_complete_files_are_removed_and_nothing_else(tmp_path):
    long = "x" * 150  # its temporary name has a digest
    (tmp_path / "other").mkdir()
    partials = []
    for pid, name in ((1, "a"), (2, "a"), (1, long), (3, "b"), (3, "c"), (os.getpid(), "other/a")):
        path = tmp_path / name
        temporary = durable.partial_path(path)
        partials.append(temporary.with_name(temporary.name.replace(str(os.getpid()), str(pid), 1)))
        partials[-1].touch()
    for name in ("a", long, "c", "other/a"):
        (tmp_path / name).write_text("complete")
    durable.remove_leftovers([tmp_path / name for name in ("a", long, "b", "absent/a")])
    left = [path.exists() for path in partials]
    assert left == [False, False, False, True, True, True], "b is incomplete, c is not asked for"
    assert (tmp_path / long).read_text() == "complete"


def test_a_file_whose_temporary_is_removed_is_written_again(tmp_path, monkeypatch):
    path, flush = tmp_path / "a", durable.disk.flush
    path.write_text("old")

    def remove_once(handle):
        flush(handle)
        monkeypatch.undo()
        durable.remove_leftovers([path])

    monkeypatch.setattr(durable.disk, "flush", remove_once)
    durable.write_file(path, b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"new", [path])


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
