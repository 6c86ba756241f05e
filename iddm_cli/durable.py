"""Durable writes: a file or folder appears whole under its name, or not at all.

Each write goes to a temporary name beside the target, is flushed to the disk, and is renamed;
the folder that holds the name is flushed as well, since a rename alone may be lost, or may reach
the disk before the bytes do. Nothing older is removed before what takes its place is safe.
"""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

PARTIAL_PREFIX = ".partial-"


class Disk:
    """The calls that change what is on the disk, each of which may fail, or be the last one.

    Tests put another one in the place of `disk`: it fails at a chosen call, ends the process
    there, or notes what a power cut could leave.
    """

    def make_folder(self, path: Path) -> None:
        """Make a folder."""
        path.mkdir()

    def create(self, path: Path) -> IO[bytes]:
        """Make an empty file, and open it."""
        return path.open("wb", buffering=0)

    def append_to(self, path: Path) -> IO[bytes]:
        """Open a file at its end."""
        return path.open("ab", buffering=0)

    def write(self, handle: IO[bytes], content: bytes) -> None:
        """Write all of some bytes."""
        rest = memoryview(content)
        while rest:
            rest = rest[handle.write(rest) :]

    def truncate(self, handle: IO[bytes], length: int) -> None:
        """Shorten a file."""
        handle.truncate(length)

    def flush(self, handle: IO[bytes]) -> None:
        """Flush a file's bytes to the disk itself."""
        if sys.platform == "darwin":
            import fcntl

            # There, fsync leaves them in the drive's own memory.
            fcntl.fcntl(handle.fileno(), fcntl.F_FULLFSYNC)
        else:
            os.fsync(handle.fileno())

    def flush_folder(self, path: Path) -> None:
        """Flush a folder's names, where the system lets folders be opened."""
        if os.name == "nt":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file, or a folder; a file of the new name is replaced."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with all that is in it."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


disk = Disk()


def partial_path(path: Path) -> Path:
    """Return the temporary sibling that this process writes before renaming it to `path`."""
    return path.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{path.name}")


def fsync_file(handle: IO[bytes]) -> None:
    """Flush an open file to the disk."""
    handle.flush()
    disk.flush(handle)


def write_file(path: Path, content: bytes) -> None:
    """Write `content` as `path`, replacing what was there in one step.

    Raises:
        OSError: The file cannot be written; what stood there before still does.
    """
    temporary = partial_path(path)
    try:
        _write(temporary, content)
        disk.rename(temporary, path)
    except OSError:
        _discard(temporary)
        raise
    disk.flush_folder(path.parent)


def create_folder(path: Path) -> None:
    """Make a folder where there is none; not those above it, which may be away for a while.

    Raises:
        FileExistsError: Something else has its name.
        OSError: It cannot be made.
    """
    if path.is_dir():
        return
    try:
        disk.make_folder(path)
    except FileExistsError:
        if not path.is_dir():  # nobody else has made it meanwhile
            raise
    disk.flush_folder(path.parent)


def write_folder(
    path: Path,
    files: Iterable[tuple[str, bytes]],
    folders: Sequence[str] = (),
    *,
    replace: bool = False,
) -> None:
    """Write a new folder of files, all of it or nothing.

    Args:
        path: Its name.
        files: Path inside it and content of each file; asked for one at a time.
        folders: Names of folders inside it, which files may lie in.
        replace: Whether a folder that has its name is removed, once the new one is written.

    Raises:
        FileExistsError: `path` exists and is not empty, and is not to be replaced.
        OSError: It cannot be written; nothing of it is left.
    """
    temporary = partial_path(path)
    try:
        disk.make_folder(temporary)
        for name in folders:
            disk.make_folder(temporary / name)
        for name, content in files:
            _write(temporary / name, content)
        for name in folders:
            disk.flush_folder(temporary / name)
        if replace and path.exists():
            remove_folder(path)
        publish_folder(temporary, path)
    except OSError:
        _discard(temporary)
        raise


def _write(path: Path, content: bytes) -> None:
    with disk.create(path) as handle:
        disk.write(handle, content)
        disk.flush(handle)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        disk.remove(path)


def publish_folder(temporary: Path, final: Path) -> None:
    """Give a folder, whose files are already flushed, its final name.

    Raises:
        FileExistsError: `final` exists and is not empty; `temporary` is left as it is.
        OSError: The rename failed.
    """
    disk.flush_folder(temporary)
    try:
        disk.rename(temporary, final)
    except OSError as error:
        if final.exists():
            raise FileExistsError(f"{final} exists") from error
        raise
    disk.flush_folder(final.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder such that, cut off halfway, it is there whole or not at all.

    Raises:
        OSError: It cannot be renamed; it is left as it was.
    """
    # Not the name under which this process may be writing what takes its place.
    doomed = partial_path(path.with_name(f"removed-{path.name}"))
    disk.rename(path, doomed)
    # Else a power cut could bring the name back, but not what was in the folder.
    disk.flush_folder(path.parent)
    _discard(doomed)


def remove_partials(folder: Path) -> None:
    """Remove what cut-off writes left in `folder`; only call while nobody writes there."""
    for leftover in folder.glob(f"{PARTIAL_PREFIX}*"):
        _discard(leftover)


class LineFile:
    """A text file that grows by whole lines and can be cut back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: str) -> None:
        """Add one line and hand it to the system at once.

        Raises:
            OSError: It cannot be written; no half of it stays.
        """
        with disk.append_to(self.path) as handle:
            length = handle.seek(0, io.SEEK_END)
            try:
                disk.write(handle, line.encode() + b"\n")
            except OSError:
                disk.truncate(handle, length)
                raise

    def flush(self) -> None:
        """Flush the lines to the disk itself."""
        with disk.append_to(self.path) as handle:
            disk.flush(handle)

    def read_lines(self) -> list[str]:
        """Return the complete lines; one that was cut off in the middle is left out."""
        if not self.path.exists():
            return []
        text = io.BytesIO(self.path.read_bytes())
        return [line[:-1].decode(errors="replace") for line in text if line.endswith(b"\n")]

    def rewrite(self, lines: list[str]) -> None:
        """Replace the file by these lines."""
        write_file(self.path, "".join(f"{line}\n" for line in lines).encode())
