"""Checks of files before they are read."""

import hashlib
import stat
from pathlib import Path

from iddm_cli.errors import CheckpointError


def check_regular_file(path: Path) -> None:
    """Check that a path is a regular file: reading a pipe or a device could block for ever.

    Raises:
        CheckpointError: It is something else.
        OSError: It does not exist.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise CheckpointError(f"{path} is not a regular file")


def check_digest(path: Path, size: int, sha256: str) -> None:
    """Compare a file with its recorded size and digest.

    Args:
        path: The file.
        size: Its size in bytes.
        sha256: Its SHA-256 in hexadecimal digits.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    try:
        check_regular_file(path)
        if path.stat().st_size != size:
            raise CheckpointError(f"{path} is damaged: its size has changed")
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    if found != sha256:
        raise CheckpointError(f"{path} is damaged: its SHA-256 has changed")
