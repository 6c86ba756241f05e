"""File systems that lack something: a preloaded library that makes calls fail below a folder."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("weak.c")

SMB = {"fsync_folder": errno.EINVAL, "flock": errno.ENOLCK}
"""The file system of the complaints: SMB, Google Drive, and a home folder on NFS."""

EVERYTHING = {
    "fsync_folder": errno.EBADF, "fsync": errno.EINVAL, "flock": errno.ENOSYS,
    "replace": errno.EEXIST, "rename_folder": errno.EMFILE, "append": errno.EOPNOTSUPP,
    "truncate": errno.EINVAL, "mmap": errno.ENODEV, "utime": errno.EPERM, "statvfs": errno.ENOSYS,
    "access": errno.EACCES, "link": errno.EPERM, "symlink": errno.EPERM, "chmod": errno.EPERM,
    "long_name": errno.ENAMETOOLONG, "odd_name": errno.EINVAL, "open_folder": errno.EACCES,
}  # fmt: skip
"""A file system that lacks all that weak.c knows, except renames to a new name."""

NO_RENAMES = {"rename": errno.ENOSYS, "flock": errno.EIO, "fsync_folder": errno.EACCES}
"""An object store."""


def build_library(folder: Path) -> Path:
    """Compile the library, or skip the test where that is not possible."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("no C compiler, or no way to preload a library")
    library = folder / "weak.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the library does not compile here")
    return library


def preload(library: Path, below: Path, calls: dict[str, int]) -> dict[str, str]:
    """Return the environment of a process below whose folder some calls fail."""
    return {"LD_PRELOAD": str(library), "WEAK_BELOW": str(below)} | weaken(calls)


def weaken(calls: dict[str, int]) -> dict[str, str]:
    """Return the variable that chooses the calls, which may change at any time."""
    return {"WEAK_CALLS": " ".join(f"{call}={code}" for call, code in calls.items())}


def check_that_it_is_weak(env: dict[str, str]) -> None:
    """Check that the library is loaded: otherwise a test of it would prove nothing."""
    code = "import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDONLY))"
    command = [sys.executable, "-c", code, env["WEAK_BELOW"]]
    tried = subprocess.run(command, env=os.environ | env, capture_output=True, check=False)
    assert b"OSError" in tried.stderr or b"PermissionError" in tried.stderr, tried
