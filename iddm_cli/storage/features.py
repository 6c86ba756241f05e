"""What a file system may lack, and what is weaker without it.

Network, cloud and FUSE file systems refuse some calls outright, each with error codes of its own.
iddm then works with what there is, and reports once per process and feature what is weaker. Errors
that mean a failure (a full, read-only or broken disk) are in none of these sets.
"""

import errno
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

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

Listener = Callable[[str], None]


class MissingFeatures:
    """The missing features met so far, each reported once.

    Reports may come from any thread. Those from before `listen` are kept until then.
    """

    def __init__(self) -> None:
        self._reported: set[str] = set()
        self._unread: list[str] = []
        self._listener: Listener | None = None
        self._mutex = threading.Lock()

    def report(self, feature: str, folder: Path) -> None:
        """Report that the file system of a folder lacks a feature, unless that was reported.

        Args:
            feature: A key of FEATURES.
            folder: The folder that the message names.
        """
        text = f"{_name(folder)} is on a file system that {FEATURES[feature]}"
        with self._mutex:
            if feature in self._reported:
                return
            self._reported.add(feature)
            if self._listener is None:
                self._unread.append(text)
                return
        self._listener(text)

    def listen(self, listener: Listener) -> None:
        """Call a function with each message from now on, and with those of before."""
        with self._mutex:
            self._listener = listener
            unread, self._unread = self._unread, []
        for text in unread:
            listener(text)

    def is_known(self, feature: str) -> bool:
        """Return whether a feature was found missing before."""
        return feature in self._reported


def _name(folder: Path) -> str:
    """Return the name of a folder without those of temporary ones."""
    parts = itertools.takewhile(lambda part: not part.startswith(PARTIAL_PREFIX), folder.parts)
    name = str(Path(*parts))
    return "the current folder" if name == "." else name


missing = MissingFeatures()
