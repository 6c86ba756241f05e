"""Free space and permission, where the file system does not tell the truth."""

import errno
import os
import shutil

import pytest

from iddm_cli.storage.space import can_write, free_bytes


def report(monkeypatch, total: int, free: int) -> None:
    usage = shutil._ntuple_diskusage(total, total - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_free_space(tmp_path, monkeypatch, reported):
    report(monkeypatch, 100, 7)
    assert free_bytes(tmp_path) == 7
    assert reported() == []


@pytest.mark.parametrize("total", [0, 100])
def test_no_free_space_on_a_disk_that_accepts_files_is_unknown(
    tmp_path, monkeypatch, reported, total
):
    report(monkeypatch, total, 0)
    assert free_bytes(tmp_path) is None
    assert reported() == ["free_space"]
    assert list(tmp_path.iterdir()) == []


def test_no_free_space_on_a_disk_that_is_full(tmp_path, monkeypatch):
    report(monkeypatch, 100, 0)
    assert free_bytes(tmp_path / "missing") == 0


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_that_does_not_say(tmp_path, monkeypatch, code):
    def fail(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(shutil, "disk_usage", fail)
    if code == errno.EIO:
        with pytest.raises(OSError, match="Input/output"):
            free_bytes(tmp_path)
    else:
        assert free_bytes(tmp_path) is None


def test_permission_is_tried_where_access_denies_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert can_write(tmp_path)
    assert not can_write(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
