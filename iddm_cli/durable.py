"""Durable writes: a file or folder appears whole under its name, or not at all.

Each write goes to a temporary name beside the target, is flushed to the disk, and is renamed;
the folder that holds the name is flushed as well, since a rename alone may be lost, or may reach
the disk before the bytes do.
"""

import io
import os
import shutil
from pathlib import Path
from typing import IO

PARTIAL = ".partial-"


def partial_name(path: Path) -> Path:
    """Return the temporary sibling that this process writes before renaming it to `path`."""
    return path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")


def fsync_file(handle: IO[bytes]) -> None:
    """Flush an open file to the disk."""
    handle.flush()
    os.fsync(handle.fileno())


def fsync_folder(path: Path) -> None:
    """Flush a folder's names to the disk, where the system lets folders be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write `content` as `path`, replacing what was there in one step.

    Raises:
        OSError: The file cannot be written; what stood there before still does.
    """
    temporary = partial_name(path)
    try:
        with temporary.open("wb") as handle:
            handle.write(content)
            fsync_file(handle)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def publish_folder(temporary: Path, final: Path) -> None:
    """Give a folder, whose files are already flushed, its final name.

    Raises:
        FileExistsError: `final` exists and is not empty; `temporary` is left as it is.
        OSError: The rename failed.
    """
    fsync_folder(temporary)
    try:
        temporary.rename(final)
    except OSError as error:
        if final.exists():
            raise FileExistsError(f"{final} exists") from error
        raise
    fsync_folder(final.parent)


def sweep(folder: Path) -> None:
    """Remove what cut-off writes left in `folder`; only call while nobody writes there."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


class LineFile:
    """A text file that grows by whole lines and can be cut back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: str) -> None:
        """Add one line and hand it to the system at once."""
        with self.path.open("ab") as handle:
            handle.write(line.encode() + b"\n")

    def lines(self) -> list[str]:
        """Return the complete lines; one that was cut off in the middle is left out."""
        if not self.path.exists():
            return []
        text = io.BytesIO(self.path.read_bytes())
        return [line[:-1].decode(errors="replace") for line in text if line.endswith(b"\n")]

    def rewrite(self, lines: list[str]) -> None:
        """Replace the file by these lines."""
        write_file(self.path, "".join(f"{line}\n" for line in lines).encode())
