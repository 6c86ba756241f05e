"""The user's folders for settings and caches, also where there is no home folder.

`docker run --user 1234` has neither HOME nor an entry in the list of users; other systems set HOME
to a folder that does not exist or cannot be written to.
"""

import contextlib
import getpass
import os
import stat
import tempfile
from pathlib import Path

import platformdirs

from iddm_cli.notices import notify_once

APP = "iddm"


def user_config_folder() -> Path | None:
    """Return the folder of the user's own settings; None without a home folder."""
    try:
        return platformdirs.user_config_path(APP)
    except RuntimeError:
        return None


def user_cache_folder() -> Path:
    """Return the folder for caches; without a writable home, one among the temporary files.

    Raises:
        OSError: There is none of them, or another user has taken its name.
    """
    try:
        folder = platformdirs.user_cache_path(APP)
    except RuntimeError:
        return _temporary_folder("there is no home folder")
    if os.environ.get("XDG_CACHE_HOME", "").strip():
        return folder  # it was chosen: if it cannot be written, that is an error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return _temporary_folder(f"{folder} cannot be created")
    return folder


def ensure_temporary_folder() -> None:
    """Let temporary files go to the cache where there is no other folder for them.

    PyTorch and the decoding processes need one; `docker run --read-only` may leave none.
    """
    with contextlib.suppress(OSError):
        tempfile.gettempdir()
        return
    with contextlib.suppress(OSError, RuntimeError):
        cache = os.environ.get("IDDM_CACHE_DIR") or platformdirs.user_cache_path(APP)
        folder = Path(cache).expanduser().absolute() / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = str(folder)


def name_user() -> None:
    """Give a user without an entry in the list of users a name, which torch's compiler asks for."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["LOGNAME"] = f"uid-{os.getuid()}" if hasattr(os, "getuid") else "user"


def _temporary_folder(reason: str) -> Path:
    """Return a folder of this user alone among the temporary files; create it if it is missing."""
    number = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"{APP}-{number}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _check_private(folder, number)
    notify_once(
        f"{reason}, so decoded images are kept in {folder}, which may not be kept for long; "
        "set IDDM_CACHE_DIR to choose another folder"
    )
    return folder


def _check_private(folder: Path, number: int) -> None:
    """Check that no other user can write to a folder: everyone may have created that name."""
    status = folder.lstat()
    mode = stat.S_IMODE(status.st_mode)
    is_own = not hasattr(os, "getuid") or (status.st_uid == number and not mode & 0o022)
    if not (stat.S_ISDIR(status.st_mode) and is_own):
        raise PermissionError(f"{folder} belongs to another user")
