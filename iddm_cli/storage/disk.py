"""The system calls that change files."""

import os
import shutil
import sys
from pathlib import Path
from typing import IO

from iddm_cli.storage import features


class Disk:
    """The system calls that change files; each may fail, or be the last one before a crash.

    Tests replace `durable.disk` by one that fails or exits at a chosen call, or that records what a
    power failure could leave behind.
    """

    def make_folder(self, path: Path) -> None:
        """Create a folder."""
        path.mkdir()

    def create(self, path: Path) -> IO[bytes]:
        """Create an empty file and open it."""
        return path.open("wb", buffering=0)

    def append_to(self, path: Path) -> IO[bytes]:
        """Open a file at its end."""
        try:
            return path.open("ab", buffering=0)
        except OSError as error:
            if error.errno not in features.NO_APPEND or not path.exists():
                raise
            handle = path.open("r+b", buffering=0)
            handle.seek(0, os.SEEK_END)
            return handle

    def write(self, handle: IO[bytes], content: bytes) -> None:
        """Write all bytes."""
        rest = memoryview(content)
        while rest:
            rest = rest[handle.write(rest) :]

    def truncate(self, handle: IO[bytes], length: int) -> None:
        """Truncate a file."""
        handle.truncate(length)

    def flush(self, handle: IO[bytes]) -> None:
        """Flush the content of a file to the disk."""
        if sys.platform == "darwin":
            import fcntl

            try:
                # On macOS, fsync leaves the data in the cache of the drive.
                fcntl.fcntl(handle.fileno(), fcntl.F_FULLFSYNC)
            except OSError as error:  # network drives
                if error.errno not in features.UNSUPPORTED:
                    raise
            else:
                return
        os.fsync(handle.fileno())

    def flush_folder(self, path: Path) -> None:
        """Flush the entries of a folder, where the system can open folders."""
        if os.name == "nt":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file or folder; replace a file of the new name."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with its content."""
        if path.is_dir() and not path.is_symlink():
            _remove_tree(path)
        else:
            path.unlink(missing_ok=True)


def _remove_tree(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        # rmtree opens folders, which some file systems refuse; listing them is always possible.
        if error.errno not in features.NO_FLUSH_FOLDER:
            raise
        for folder, folders, files in os.walk(path, topdown=False):
            inner = [Path(folder, name) for name in folders]
            for file in (*(Path(folder, name) for name in files), *filter(Path.is_symlink, inner)):
                file.unlink()
            for entry in inner:
                if entry.is_dir():
                    entry.rmdir()
        path.rmdir()
