"""What can be known of a folder before it is written to: free space, and permission."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from iddm_cli.storage import features
from iddm_cli.storage.features import PARTIAL_PREFIX

PROBE_BYTES = 2**16


def free_bytes(folder: Path) -> int | None:
    """Return the free space of a folder's file system in bytes; None where it does not say."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        if error.errno not in features.UNSUPPORTED:
            raise
        usage = None
    # Some cloud file systems report 0 free bytes, and accept any number.
    if usage is None or usage.total == 0 or (usage.free == 0 and _accepts(folder, PROBE_BYTES)):
        features.missing.report("free_space", folder)
        return None
    return usage.free


def can_write(folder: Path) -> bool:
    """Return whether files can be created in a folder."""
    # access() goes by the numbers of user and mode, which network file systems may only pretend.
    return os.access(folder, os.W_OK | os.X_OK) or _accepts(folder, 0)


def _accepts(folder: Path, size: int) -> bool:
    """Return whether a folder accepts a file of some bytes; the file is removed."""
    probe = folder / f"{PARTIAL_PREFIX}{secrets.token_hex(8)}"
    try:
        with probe.open("xb", buffering=0) as handle:
            return handle.write(bytes(size)) == size
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
