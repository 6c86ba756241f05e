"""Renames that a file system refuses: the content arrives, and nothing else is left."""

import errno
import os
from pathlib import Path

import pytest

from iddm_cli import durable
from iddm_cli.storage import moves
from tests.faults.disks import Failing, Lacking

UNSUPPORTED = [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS]
DENIED = [errno.EACCES, errno.EPERM, *UNSUPPORTED]
REFUSALS = {
    "replace": [errno.EEXIST, errno.EBUSY, errno.ETXTBSY, *DENIED],
    "rename": [errno.EXDEV, *DENIED],
    "rename_folder": [errno.EMFILE, errno.ENOTEMPTY, errno.EBUSY, errno.EXDEV, *DENIED],
    "flush_folder": [errno.EBADF, errno.EISDIR, errno.EIO, *DENIED],
    "flush_file": UNSUPPORTED,
    "append": DENIED,
}
LACKS = [(lacks, code) for lacks, codes in REFUSALS.items() for code in codes]


def content(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def fill(folder: Path, mark: bytes) -> None:
    durable.write_folder(folder, [("a.json", mark), ("in/b", mark)], ["in"], replace=True)


def lack(monkeypatch, *lacks: str, code: int = errno.EPERM) -> None:
    monkeypatch.setattr(durable, "disk", Lacking(*lacks, code=code))
    monkeypatch.setattr(moves, "RETRY_SECONDS", ())


@pytest.mark.parametrize(("lacks", "code"), LACKS)
def test_everything_can_be_written_without(tmp_path, monkeypatch, reported, lacks, code):
    lack(monkeypatch, lacks, code=code)
    lines = durable.LineFile(tmp_path / "lines")
    for mark in (b"old", b"new"):
        durable.write_file(tmp_path / "file", mark)
        fill(tmp_path / "folder", mark)
        lines.append(mark.decode())
    lines.flush()
    durable.rename_folder(tmp_path / "folder", tmp_path / "renamed")
    fill(tmp_path / "removed", b"x")
    durable.remove_folder(tmp_path / "removed")
    assert content(tmp_path) == {
        "file": b"new",
        "renamed/a.json": b"new",
        "renamed/in/b": b"new",
        "lines": b"old\nnew\n",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "lines", "renamed"]
    assert reported() == [lacks] or (lacks == "rename" and "rename" in reported())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("lacks", REFUSALS)
def test_an_error_of_the_disk_is_not_taken_for_a_missing_feature(
    tmp_path, monkeypatch, reported, lacks, code
):
    if (lacks, code) in LACKS:
        pytest.skip("every folder of some file systems answers EIO")
    durable.write_file(tmp_path / "file", b"old")
    fill(tmp_path / "folder", b"old")
    lack(monkeypatch, lacks, code=code)
    actions = {
        "replace": lambda: durable.write_file(tmp_path / "file", b"new"),
        "rename_folder": lambda: durable.remove_folder(tmp_path / "folder"),
        "append": lambda: durable.LineFile(tmp_path / "file").append("new"),
    }
    with pytest.raises(OSError):
        actions.get(lacks, actions["replace"])()
    assert content(tmp_path)["folder/in/b"] == b"old"
    assert reported() == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_any_call_of_the_fallback_may_fail(tmp_path, monkeypatch, code):
    """The file is the old or the new one, wherever it is."""

    class FailingToo(Lacking, Failing):
        def __init__(self, number: int) -> None:
            Lacking.__init__(self, "replace")
            self.number, self.failure = number, code

        def before(self, call) -> None:
            if len(self.calls) == self.number:
                self.number = -1
                raise OSError(self.failure, os.strerror(self.failure))
            Lacking.before(self, call)

    monkeypatch.setattr(moves, "RETRY_SECONDS", ())
    for number in range(12):
        path = tmp_path / str(number) / "file"
        path.parent.mkdir()
        durable.write_file(path, b"old")
        monkeypatch.setattr(durable, "disk", FailingToo(number))
        try:
            durable.write_file(path, b"new")
        except durable.UnflushedError:
            assert path.read_bytes() == b"new"
        except OSError:
            assert path.read_bytes() == b"old"
        else:
            assert path.read_bytes() == b"new"
        monkeypatch.undo()


@pytest.mark.parametrize("always", [True, False])
def test_an_error_of_every_folder_is_one_of_the_file_system(
    tmp_path, monkeypatch, reported, always
):
    """WSL answers EIO for every folder of an SMB share; of one folder, that is a broken disk."""
    real = durable.Disk.flush_folder

    def flush_folder(disk, path):
        if always or path == tmp_path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(disk, path)

    monkeypatch.setattr(durable.Disk, "flush_folder", flush_folder)
    if always:
        durable.write_file(tmp_path / "file", b"x")
        assert reported() == ["flush_folder"]
    else:
        with pytest.raises(durable.UnflushedError):
            durable.write_file(tmp_path / "file", b"x")
    assert content(tmp_path) == {"file": b"x"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_of_which_files_may_be_missing_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / durable.INCOMPLETE).touch()
    durable.write_folder(tmp_path / "folder", [("a", b"x")])
    assert content(tmp_path) == {"folder/a": b"x"}


def test_a_file_that_was_moved_aside_is_found_and_gets_its_name_back(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    durable.write_file(path, b"old")
    path.rename(moves.aside_path(path))
    assert durable.find(path).read_bytes() == b"old"
    durable.restore(path)
    assert content(tmp_path) == {"run.json": b"old"}


def test_a_file_that_is_in_use_for_a_moment_is_renamed_then(tmp_path, monkeypatch, reported):
    busy = [errno.EACCES, errno.EBUSY]
    real = durable.Disk.rename

    def rename(disk, old, new):
        if busy:
            code = busy.pop()
            raise OSError(code, os.strerror(code))
        real(disk, old, new)

    monkeypatch.setattr(durable.Disk, "rename", rename)
    monkeypatch.setattr(moves, "RETRY_SECONDS", (0, 0))
    durable.write_file(tmp_path / "file", b"new")
    assert reported() == []


@pytest.mark.parametrize("length", [1, 100, 101, 200, 255])
def test_temporary_names_fit_where_the_final_name_does(tmp_path, length):
    path = tmp_path / ("ä" * (length // 2) + "x" * (length % 2))
    for name in (moves.partial_path(path).name, moves.aside_path(path).name):
        assert len(os.fsencode(name)) <= max(length, 143)
    durable.write_file(path, b"x")
    assert content(tmp_path) == {path.name: b"x"}
