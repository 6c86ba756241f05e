"""The user's folders: the usual ones, and what takes their place without a home folder."""

import getpass
import os
import tempfile
from pathlib import Path

import platformdirs
import pytest

from iddm_cli import notices
from iddm_cli.machine import user_folders


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No XDG folders; temporary files are in tmp_path."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(notices.board, "_given", set())
    monkeypatch.setattr(notices.board, "_listener", None)
    monkeypatch.setattr(notices.board, "_unread", [])


@pytest.fixture
def no_home(monkeypatch):
    def fail(*_: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_cache_path", fail)
    monkeypatch.setattr(platformdirs, "user_config_path", fail)


def test_with_a_home_folder_they_are_in_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_folders.user_cache_folder() == platformdirs.user_cache_path("iddm")
    assert user_folders.user_config_folder() == platformdirs.user_config_path("iddm")
    assert user_folders.user_cache_folder().is_relative_to(tmp_path)


def test_without_a_home_folder_the_cache_is_private_and_temporary(no_home, tmp_path):
    assert user_folders.user_config_folder() is None
    folder = user_folders.user_cache_folder()
    assert folder == user_folders.user_cache_folder() == tmp_path / f"iddm-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    (told,) = notices.board._unread
    assert "there is no home folder" in told
    assert "IDDM_CACHE_DIR" in told


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null"])
def test_where_the_home_folder_cannot_be_created_neither(monkeypatch, tmp_path, home):
    monkeypatch.setenv("HOME", home)
    assert user_folders.user_cache_folder().parent == tmp_path
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert user_folders.user_cache_folder() == Path(home, "iddm"), "it was chosen"


@pytest.mark.parametrize("taken_by", ["link", "open folder", "file"])
def test_a_name_that_another_user_took_is_refused(no_home, tmp_path, taken_by):
    path = tmp_path / f"iddm-{os.getuid()}"
    if taken_by == "link":
        path.symlink_to(tmp_path)
    elif taken_by == "file":
        path.touch()
    else:
        path.mkdir()
        path.chmod(0o777)
    with pytest.raises(PermissionError, match="another user"):
        user_folders.user_cache_folder()


def test_a_user_without_an_entry_gets_a_name(monkeypatch):
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.delenv("LOGNAME", raising=False)
    user_folders.name_user()
    assert "LOGNAME" not in os.environ
    monkeypatch.setattr(getpass, "getuser", fail)
    user_folders.name_user()
    assert os.environ["LOGNAME"] == f"uid-{os.getuid()}"
    monkeypatch.delenv("LOGNAME")


def test_temporary_files_go_to_the_cache_where_there_is_no_other_place(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    user_folders.ensure_temporary_folder()
    assert os.environ["TMPDIR"] == "/nowhere", "there is one"

    def fail() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", fail)
    user_folders.ensure_temporary_folder()
    assert os.environ["TMPDIR"] == str(tmp_path / "cache" / "tmp")
    assert (tmp_path / "cache" / "tmp").is_dir()
    monkeypatch.setenv("IDDM_CACHE_DIR", "/proc/cache")
    monkeypatch.setenv("TMPDIR", "/nowhere")
    user_folders.ensure_temporary_folder()
    assert os.environ["TMPDIR"] == "/nowhere"
