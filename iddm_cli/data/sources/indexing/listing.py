"""Listings: which entries of a folder are images by their names, and why the others are not.

Only folders are read, and the first bytes of files without a suffix: a hundred thousand files are
listed in a second.
"""

import os
import stat
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from iddm_cli.data.decoding.formats.left_out import STRAY_ARRAYS, explain_name
from iddm_cli.data.decoding.formats.table import (
    ARRAY_SUFFIX,
    IMAGE_SUFFIXES,
    SIGNATURE_BYTES,
    find_format,
)
from iddm_cli.data.sources.indexing.labels.label_files import is_label_file
from iddm_cli.data.sources.indexing.system_files import find_reason
from iddm_cli.machine.system_limits import reraise_limit

SkippedFile = tuple[str, str]
"""Printable name of an entry that is not used, and the reason, a short phrase."""

_DIRECTION_CHANGES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@dataclass
class Listing:
    """The entries below a folder, or in an archive."""

    paths: list[str] = field(default_factory=list)
    """Paths of the images, "/" between the parts, sorted by their bytes."""

    skipped: list[SkippedFile] = field(default_factory=list)
    """The entries that are not images."""

    folders: set[str] = field(default_factory=set)
    """Paths of all folders."""

    label_files: list[str] = field(default_factory=list)
    """Paths of files that may hold labels, such as metadata.csv."""

    read: Callable[[str], bytes] = lambda _: b""
    """`read(path)` returns the content of such a file."""

    read_head: Callable[[str], bytes] = lambda _: b""
    """`read_head(path)` returns the first SIGNATURE_BYTES of a file; b"" if it is unreadable."""

    def add_file(self, path: str) -> None:
        """Classify a file by its name, or by its first bytes if it has no suffix.

        A number does not count as a suffix: names of DICOM files end in one, as in 1.2.840.10008.1.
        """
        name = path.rsplit("/", 1)[-1].lower()
        if is_label_file(name):
            self.label_files.append(path)
        elif name.endswith(IMAGE_SUFFIXES) or (
            _lacks_suffix(name) and find_format(self.read_head(path))
        ):
            self.paths.append(path)
        else:
            self.skip(path, explain_name(name))

    def set_aside_arrays(self) -> None:
        """Skip arrays that do not seem to be images: features, masks or labels beside images.

        These are all arrays if most files are images of other formats, and else those beside an
        image of the same name.
        """
        arrays = {path for path in self.paths if path.lower().endswith(ARRAY_SUFFIX)}
        others = {path.rpartition(".")[0] for path in self.paths if path not in arrays}
        few = 2 * len(arrays) < len(self.paths)
        stray = {path for path in arrays if few or path.rpartition(".")[0] in others}
        self.paths = [path for path in self.paths if path not in stray]
        for path in sorted(stray):
            self.skip(path, STRAY_ARRAYS.reason)

    def skip(self, path: str, reason: str) -> None:
        """Record an entry that is not used."""
        self.skipped.append((to_printable(path), reason))


def _lacks_suffix(name: str) -> bool:
    return "." not in name or name.rpartition(".")[2].isdigit()


def to_printable(name: str) -> str:
    """Return the name of a file as text that is safe to print and to save.

    Bytes that are not UTF-8, control characters (which could command a terminal) and characters
    that reverse the rest of a line are escaped. Accented letters are composed, because systems
    differ in how they write the same name.
    """
    name = unicodedata.normalize("NFC", name)
    if name.isprintable():
        return name
    return "".join(_escape(letter) for letter in name)


def _escape(letter: str) -> str:
    kind = unicodedata.category(letter)
    if kind in ("Cc", "Cs"):
        return f"\\x{ord(letter) & 0xFF:02x}"
    changes_direction = unicodedata.bidirectional(letter) in _DIRECTION_CHANGES
    return f"\\u{ord(letter):04x}" if changes_direction or kind in ("Zl", "Zp") else letter


def list_folder(root: Path) -> Listing:
    """List all images below a folder; each folder is listed once, however many links lead to it."""
    listing = Listing(
        read=lambda path: (root / path).read_bytes(),
        read_head=lambda path: _read_head(root / path),
    )
    _FolderWalk(root, listing).run()
    listing.paths.sort(key=os.fsencode)
    listing.set_aside_arrays()
    return listing


class _FolderWalk:
    """Walks through a folder, breadth first, and adds its entries to a listing."""

    def __init__(self, root: Path, listing: Listing) -> None:
        self.root = root
        self.listing = listing
        self._entered = {_identity(folder) for folder in root.resolve().parents}
        self._folders = deque([""])
        self._links: deque[str] = deque()

    def run(self) -> None:
        """Walk; links come last, so that a folder is listed by its own name if it has one."""
        while self._folders or self._links:
            self._enter((self._folders or self._links).popleft())

    def _enter(self, folder: str) -> None:
        """List one folder, unless it was listed before or contains the root."""
        try:
            identity = _identity(self.root / folder)
            entries = sorted(os.scandir(self.root / folder), key=lambda entry: entry.name)
        except OSError as error:
            reraise_limit(error)
            self.listing.skip(folder or ".", f"cannot be read: {error.strerror or error}")
            return
        if identity in self._entered:
            reason = "a link to a folder that is listed already, or that contains it"
            self.listing.skip(folder, reason)
            return
        self._entered.add(identity)
        for entry in entries:
            self._add(entry, f"{folder}/{entry.name}" if folder else entry.name)

    def _add(self, entry: os.DirEntry[str], path: str) -> None:
        """Add one entry to the listing, or to the folders still to enter."""
        kind = _kind(entry)
        is_folder = kind in ("folder", "link")
        kind = find_reason(entry.name, is_folder=is_folder) or kind
        if kind in ("folder", "link"):
            (self._folders if kind == "folder" else self._links).append(path)
            self.listing.folders.add(path)
        elif kind == "file":
            self.listing.add_file(path)
        else:
            self.listing.skip(path, kind)


def _identity(folder: Path) -> str:
    # Not the inode: some network and FUSE file systems give every folder the same one.
    return os.path.realpath(folder)


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "folder", "link" (to a folder), "file", or the reason to skip the entry."""
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        if entry.is_file():
            return "file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return "a broken link" if _is_broken(entry) else "not a regular file"


def _is_broken(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISLNK(entry.stat().st_mode)
    except OSError:
        return True


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            return handle.read(SIGNATURE_BYTES)
    except OSError:
        return b""
