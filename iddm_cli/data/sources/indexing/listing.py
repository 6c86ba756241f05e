"""Listings: which entries of a folder are pictures by their names, and why the others are not.

Nothing is read here but folders, and the first bytes of files without a suffix, so that a hundred
thousand files are listed in a second.
"""

import os
import stat
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SkippedFile = tuple[str, str]

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".bmp"),
    *(".tif", ".tiff", ".gif", ".ppm", ".pgm"),
)
METADATA = ("metadata.csv", "metadata.jsonl")
HIDDEN = "hidden, or put there by a system"
NOT_A_PICTURE = "not a picture, by its suffix"

_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"P5", b"P6")


@dataclass
class Listing:
    """What was found below a folder, or in an archive."""

    paths: list[str] = field(default_factory=list)
    """Pictures by their names, "/" between the parts, sorted by their bytes."""

    skipped: list[SkippedFile] = field(default_factory=list)
    """What is none, and why."""

    folders: set[str] = field(default_factory=set)
    """All folders that were found."""

    metadata: list[str] = field(default_factory=list)
    """Files called metadata.csv or metadata.jsonl."""

    read: Callable[[str], bytes] = lambda _: b""
    """`read(path)` returns the content of one of these."""

    def sort(self, path: str, *, has_magic: Callable[[], bool] = lambda: False) -> None:
        """Put a file where it belongs, by its name."""
        name = path.rsplit("/", 1)[-1].lower()
        if name in METADATA:
            self.metadata.append(path)
        elif name.endswith(SUFFIXES) or ("." not in name and has_magic()):
            self.paths.append(path)
        else:
            self.skip(path, NOT_A_PICTURE if "." in name else "not a picture, by its first bytes")

    def skip(self, path: str, reason: str) -> None:
        """Leave an entry out."""
        self.skipped.append((to_printable(path), reason))


def to_printable(name: str) -> str:
    """Return a file's name as text that can be printed and saved anywhere.

    Bytes that are no UTF-8, control characters (which could command a terminal) and those that
    turn the rest of a line around are escaped;
    letters with accents are composed, as two systems may spell one name differently.
    """
    name = unicodedata.normalize("NFC", name)
    if name.isprintable():
        return name
    return "".join(_escape(letter) for letter in name)


def _escape(letter: str) -> str:
    kind = unicodedata.category(letter)
    if kind in ("Cc", "Cs"):
        return f"\\x{ord(letter) & 0xFF:02x}"
    turns_the_line = unicodedata.bidirectional(letter) in _TURNING
    return f"\\u{ord(letter):04x}" if turns_the_line or kind in ("Zl", "Zp") else letter


def is_hidden(name: str) -> bool:
    """Say whether an entry's name marks it as none of the user's: .git, ._x.jpg, Thumbs.db."""
    return (name.startswith(".") and not name.startswith("..")) or name.lower() in _LITTER


def list_folder(root: Path) -> Listing:
    """List all pictures below a folder, each folder once, however many links lead to it."""
    listing = Listing(read=lambda path: (root / path).read_bytes())
    _Walk(root, listing).run()
    listing.paths.sort(key=os.fsencode)
    return listing


class _Walk:
    def __init__(self, root: Path, listing: Listing) -> None:
        self.root = root
        self.listing = listing
        self._entered = {_identity(folder) for folder in root.resolve().parents}
        self._folders = deque([""])
        self._links: deque[str] = deque()

    def run(self) -> None:
        """Walk; links come last, so that a folder goes by its own name where it has one."""
        while self._folders or self._links:
            self._enter((self._folders or self._links).popleft())

    def _enter(self, folder: str) -> None:
        """List one folder, unless it was listed before or is one of those around the root."""
        try:
            identity = _identity(self.root / folder)
            entries = sorted(os.scandir(self.root / folder), key=lambda entry: entry.name)
        except OSError as error:
            self.listing.skip(folder or ".", f"cannot be read: {error.strerror or error}")
            return
        if identity in self._entered:
            reason = "a link to a folder that is read already, or to one around it"
            self.listing.skip(folder, reason)
            return
        self._entered.add(identity)
        for entry in entries:
            self._sort(entry, f"{folder}/{entry.name}" if folder else entry.name)

    def _sort(self, entry: os.DirEntry[str], path: str) -> None:
        """Put one entry where it belongs."""
        kind = HIDDEN if is_hidden(entry.name) else _kind(entry)
        if kind in ("folder", "link"):
            (self._folders if kind == "folder" else self._links).append(path)
            self.listing.folders.add(path)
        elif kind == "file":
            self.listing.sort(path, has_magic=lambda: _has_magic(self.root / path))
        else:
            self.listing.skip(path, kind)


def _identity(folder: Path) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "folder", "link" (to a folder), "file", or the reason why it is none of them."""
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        if entry.is_file():
            return "file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return "a link to nothing" if _is_broken(entry) else "not a regular file"


def _is_broken(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISLNK(entry.stat().st_mode)
    except OSError:
        return True


def _has_magic(path: Path) -> bool:
    """Look whether a file begins as pictures do."""
    try:
        with path.open("rb") as handle:
            return handle.read(8).startswith(MAGIC)
    except OSError:
        return False
