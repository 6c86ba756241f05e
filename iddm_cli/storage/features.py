"""What a file system may lack, and what is weaker without it.

Network, cloud and FUSE file systems refuse some calls outright, each with error codes of its own.
iddm then works with what there is, and reports once per process and feature what is weaker. Errors
that mean a failure (a full, read-only or broken disk) are in none of these sets.
"""

import errno
import itertools
from pathlib import Path

from iddm_cli.notices import NoticeBoard

PARTIAL_PREFIX = ".partial-"
"""How the names of temporary files and folders begin."""

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY})
"""A file system does not offer a call."""

DENIED = frozenset({errno.EACCES, errno.EPERM})

NO_FLUSH_FOLDER = UNSUPPORTED | DENIED | {errno.EBADF, errno.EISDIR}
"""Folders cannot be opened or flushed: SMB, WSL's drvfs, Google Drive."""

NO_APPEND = UNSUPPORTED | DENIED
"""Files cannot be opened at their end: object stores."""

NO_LOCK = UNSUPPORTED | {errno.ENOLCK, errno.EBADF, errno.EIO, errno.EPERM, errno.ENODEV}
"""Files cannot be locked: NFS without a lock daemon, Lustre without the option flock, FUSE."""

NO_MAP = UNSUPPORTED | DENIED | {errno.ENODEV}
"""Files cannot be mapped into memory: FUSE."""

NO_RENAME = UNSUPPORTED | DENIED | {
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EBUSY,  # a file that is mounted by itself, or that is open (SMB)
    errno.ETXTBSY,
    errno.EXDEV,  # a folder in the image of a container (overlayfs)
    errno.EMFILE,  # a folder of several files (gcsfuse)
}  # fmt: skip
"""A file or folder cannot be renamed, or not over another one."""

IN_USE = frozenset({errno.EACCES, errno.EBUSY, errno.ETXTBSY})
"""Another program may have the file open for a moment, where that forbids to rename it."""

FEATURES = {
    "flush_folder": "cannot flush folders: after a power cut, the newest files may be missing",
    "flush_file": "cannot flush files: after a power cut, the newest files may be missing or empty",
    "lock": (
        "cannot lock files: iddm shows by files of its own what is in use, which another machine "
        "may notice too late"
    ),
    "replace": "cannot rename a file over another: iddm moves the old one aside first",
    "rename": (
        "cannot rename files: iddm writes them in place, so a crash during a write may damage a "
        "file"
    ),
    "rename_folder": "cannot rename folders: iddm moves their files one by one",
    "append": "cannot append to files: iddm rewrites log and metrics for every line",
    "free_space": "does not report its free space: iddm cannot check for room before it writes",
}
"""Each feature that iddm can do without, and a clause on what that means."""


class MissingFeatures(NoticeBoard):
    """The missing features met so far, each reported once."""

    def report(self, feature: str, folder: Path) -> None:
        """Report that the file system of a folder lacks a feature, unless that was reported.

        Args:
            feature: A key of FEATURES.
            folder: The folder that the message names.
        """
        self.notify_once(
            f"{_name(folder)} is on a file system that {FEATURES[feature]}", key=feature
        )

    def is_known(self, feature: str) -> bool:
        """Return whether a feature was found missing before."""
        return self.is_given(feature)


def _name(folder: Path) -> str:
    """Return the name of a folder without those of temporary ones."""
    parts = itertools.takewhile(lambda part: not part.startswith(PARTIAL_PREFIX), folder.parts)
    name = str(Path(*parts))
    return "the current folder" if name == "." else name


missing = MissingFeatures()
