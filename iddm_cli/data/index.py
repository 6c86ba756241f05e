"""The index of a folder: which files are pictures, and of which class each is.

Nothing is opened here but folders, so that a hundred thousand files are listed in a second.
"""

import os
import unicodedata
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iddm_cli.errors import DatasetError

Skip = tuple[str, str]

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp"),
    *(".tif", ".tiff", ".gif", ".ppm", ".pgm"),
)
TRAINING = {"train", "training"}
HELD_OUT = {"test", "testing", "val", "valid", "validation"}

_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class FolderIndex:
    """The pictures of a folder."""

    root: Path
    paths: tuple[str, ...]  # relative to root, "/" between the parts, sorted by their bytes
    labels: tuple[int, ...]  # class of each path; empty where there are no classes
    classes: tuple[str, ...]
    layout: Literal["classes", "flat"]
    skipped: list[Skip]  # what is no picture, and why


def index_folder(root: Path) -> FolderIndex:
    """List the pictures of a folder, and its classes if it has sub-folders of pictures.

    Raises:
        DatasetError: There is no such folder, it cannot be read, or holds nothing to train on.
    """
    _check_root(root)
    walk = _Walk(root)
    walk.run()
    if not walk.paths:
        raise _nothing_found(root, walk.skipped)
    paths = sorted(walk.paths, key=os.fsencode)
    empty = walk.top_folders - {_top(path) for path in paths}
    skipped = [*walk.skipped, *((plain(name), "no picture in this folder") for name in empty)]
    return _arrange(root, paths, skipped)


def plain(name: str) -> str:
    """Return a file's name as text that can be printed and saved anywhere.

    Bytes that are no UTF-8 and control characters (which could command a terminal) are escaped;
    letters with accents are composed, as two systems may spell one name differently.
    """
    name = unicodedata.normalize("NFC", name)
    if name.isprintable():
        return name
    return "".join(_escape(letter) for letter in name)


def _escape(letter: str) -> str:
    if unicodedata.category(letter) in ("Cc", "Cs"):
        return f"\\x{ord(letter) & 0xFF:02x}"
    return letter


def _arrange(root: Path, paths: list[str], skipped: list[Skip]) -> FolderIndex:
    """Decide between classes and a flat folder, and give each picture its label."""
    inner = "images/" if {_top(path) for path in paths} - {""} == {"images"} else ""
    within = [path for path in paths if path.startswith(inner)]
    in_folders = [path for path in within if "/" in path[len(inner) :]]
    _check_split(root / inner, [path[len(inner) :] for path in in_folders])
    flat = not in_folders or (inner and len(in_folders) < len(within))
    beside = [path for path in paths if "/" not in path and (inner or not flat)]
    reason = "lies beside the folder images" if inner else "lies beside the class folders"
    skipped = [*skipped, *((plain(path), reason) for path in beside)]
    if flat:
        return FolderIndex(root, tuple(within), (), (), "flat", _ordered(skipped))
    names = [plain(_top(path[len(inner) :])) for path in in_folders]
    classes = sorted(set(names), key=str.encode)
    number = {name: label for label, name in enumerate(classes)}
    labels = tuple(number[name] for name in names)
    return FolderIndex(
        root, tuple(in_folders), labels, tuple(classes), "classes", _ordered(skipped)
    )


def _ordered(skipped: Iterable[Skip]) -> list[Skip]:
    return sorted(skipped, key=lambda skip: skip[0].encode())


def _top(path: str) -> str:
    return path.split("/", 1)[0] if "/" in path else ""


class _Walk:
    """A walk through all folders below one, each entered once, however many links lead to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: list[str] = []
        self.skipped: list[Skip] = []
        self.top_folders: set[str] = set()
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
            self._skip(folder or ".", f"cannot be read: {error.strerror or error}")
            return
        if identity in self._entered:
            self._skip(folder, "a link to a folder that is read already, or to one around it")
            return
        self._entered.add(identity)
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.lower() not in _LITTER:
                self._sort(entry, f"{folder}/{entry.name}" if folder else entry.name)

    def _sort(self, entry: os.DirEntry[str], path: str) -> None:
        """Put one entry where it belongs."""
        kind = _kind(entry)
        if kind in ("folder", "link"):
            (self._folders if kind == "folder" else self._links).append(path)
            if "/" not in path:
                self.top_folders.add(path)
        elif kind != "file":
            self._skip(path, kind)
        elif entry.name.lower().endswith(SUFFIXES):
            self.paths.append(path)
        else:
            self._skip(path, "not a picture, by its suffix")

    def _skip(self, path: str, reason: str) -> None:
        self.skipped.append((plain(path), reason))


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
    return "a link to nothing" if entry.is_symlink() else "not a regular file"


def _check_root(root: Path) -> None:
    if not root.exists():
        raise DatasetError(f"The dataset folder {root} does not exist.", "Check data.path.")
    if not root.is_dir():
        raise DatasetError(
            f"{root} is a file, but a dataset is a folder of pictures.",
            "Give the folder that holds the pictures; an archive must be unpacked first.",
        )


def _check_split(root: Path, paths: list[str]) -> None:
    """Refuse a folder whose sub-folders are the parts of a split: they would pass for classes."""
    parts = {_top(path) for path in paths}
    train = sorted(part for part in parts if part.lower() in TRAINING)
    has_classes = any(path.count("/") > 1 for path in paths)
    only_parts = all(part.lower() in TRAINING | HELD_OUT for part in parts)
    if train and only_parts and (len(parts) > 1 or has_classes):
        raise DatasetError(
            f"The folders of {root} are the parts of a split ({', '.join(sorted(parts))}), "
            "not classes.",
            f"Name the training part: {root / train[0]}",
        )


def _nothing_found(root: Path, skipped: list[Skip]) -> DatasetError:
    unread = [reason for name, reason in skipped if name == "."]
    if unread:
        return DatasetError(f"The dataset folder {root} {unread[0]}.", "Check its permissions.")
    return DatasetError(
        f"There is no picture in {root} (passed over: {len(skipped)}).",
        f"Pictures end in {', '.join(SUFFIXES)}.",
    )
