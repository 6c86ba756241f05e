"""Checks of files before they are read."""

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
