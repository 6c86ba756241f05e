"""The cache: the one folder outside a run that is written to, and what is said when it is not."""

import os
from pathlib import Path

import platformdirs

from iddm_cli.errors import DatasetError

HINT = "Set IDDM_CACHE_DIR to a folder on a disk with room."


def cache_folder() -> Path:
    """Return $IDDM_CACHE_DIR, else the user's cache folder of this system."""
    chosen = os.environ.get("IDDM_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("iddm")


def cache_error(error: OSError, folder: Path) -> DatasetError:
    """Turn a failed write into an error that says how to put the cache elsewhere."""
    reason = error.strerror or str(error)
    return DatasetError(f"The cache folder {folder} cannot be written: {reason}.", HINT)
