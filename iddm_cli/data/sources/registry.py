"""Sources of pictures: a folder, an archive, a built-in set, or the demo, behind one contract."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from iddm_cli.data.decoding.images import MAX_FILE_BYTES, Decoded, Picture, decode_file
from iddm_cli.data.sources import demo
from iddm_cli.data.sources.archives import Archive, is_archive, open_archive
from iddm_cli.data.sources.builtin import BUILTIN_NAMES, open_builtin
from iddm_cli.data.sources.fingerprint import Progress, digest_files
from iddm_cli.data.sources.index import Index, index_folder
from iddm_cli.data.sources.listing import Skip, plain
from iddm_cli.data.sources.metadata import DEFAULT_COLUMN
from iddm_cli.errors import DatasetError, did_you_mean

DEMO_COUNT = 500


def quiet(done: int, total: int) -> None:
    """Report no progress: the default of what calls back with things done, and of how many."""


class Source(Protocol):
    """Pictures that can be counted, named and decoded one at a time."""

    @property
    def name(self) -> str:
        """What the dataset is called."""

    @property
    def place(self) -> str:
        """Where it is; "" where it is drawn."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty where there are none."""

    @property
    def labels(self) -> Sequence[int]:
        """Class of each picture; all 0 where there are none."""

    @property
    def skipped(self) -> list[Skip]:
        """What was found beside the pictures: names and reasons."""

    @property
    def notes(self) -> list[str]:
        """What was understood about the layout, in sentences."""

    def __len__(self) -> int: ...

    def item_name(self, i: int) -> str:
        """Name one picture, in letters that can be printed."""

    def picture(self, i: int) -> Picture:
        """Return one picture."""

    def stored_bytes(self) -> int:
        """Return the bytes that the pictures take where they are stored; 0 if nowhere."""

    def fingerprint(self, progress: Progress = quiet) -> str:
        """Return a SHA-256 that changes when the pictures do."""


@dataclass(frozen=True)
class FilePicture:
    """A picture file."""

    root: str
    path: str

    def open(self, least: int = 0) -> Decoded:
        """Decode the file.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        return decode_file(Path(self.root, self.path), least)


class IndexedSource:
    """What folders and archives have in common: pictures that an index lists."""

    def __init__(self, place: Path, index: Index) -> None:
        self.name = plain(place.resolve().name)
        self.place = plain(str(place.resolve()))
        self.classes = index.classes
        self.labels: Sequence[int] = index.labels or (0,) * len(index.paths)
        self.skipped = index.skipped
        self.notes = index.notes
        self.paths = index.paths

    def __len__(self) -> int:
        return len(self.paths)

    def item_name(self, i: int) -> str:
        """Return the path below the folder, or in the archive."""
        return plain(self.paths[i])


class FolderSource(IndexedSource):
    """The pictures of a folder."""

    def __init__(self, root: Path, label_column: str = DEFAULT_COLUMN) -> None:
        super().__init__(root, index_folder(root, label_column))
        self._root = root

    def picture(self, i: int) -> FilePicture:
        """Return one file."""
        return FilePicture(str(self._root), self.paths[i])

    def stored_bytes(self) -> int:
        """Return the size of all files."""
        return sum(_size(self._root / path) for path in self.paths)

    def fingerprint(self, progress: Progress = quiet) -> str:
        """Digest each file's path and content, and its class."""
        content = digest_files(self._root, self.paths, progress, most=MAX_FILE_BYTES)
        return _with_labels(content, self)


class ArchiveSource(IndexedSource):
    """The pictures of a zip or tar."""

    def __init__(self, path: Path, label_column: str = DEFAULT_COLUMN) -> None:
        self._archive: Archive = open_archive(path, label_column)
        super().__init__(path, self._archive.index)
        self._path = path

    def picture(self, i: int) -> Picture:
        """Return one member."""
        return self._archive.members[self.paths[i]]

    def stored_bytes(self) -> int:
        """Return the size of all members, as they are stored."""
        return self._archive.stored_bytes

    def fingerprint(self, progress: Progress = quiet) -> str:
        """Digest the archive, and the class of each picture."""
        content = digest_files(self._path, [""], progress)
        return _with_labels(content, self)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _with_labels(content: str, source: IndexedSource) -> str:
    digest = hashlib.sha256(content.encode())
    for path, label in zip(source.paths, source.labels, strict=True):
        digest.update(b"%b\0%d\0" % (os.fsencode(path), label))
    digest.update("\0".join(source.classes).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class DemoPicture:
    """A picture that the program draws."""

    kind: str
    index: int
    height: int
    width: int

    def open(self, least: int = 0) -> Decoded:  # noqa: ARG002 (drawn at the size wanted anyway)
        """Draw it."""
        image = demo.draw(self.kind, self.index, height=self.height, width=self.width)
        return Decoded(image, self.width, self.height, animated=False)


class DemoSource:
    """The pictures that the program draws itself, at the size they are trained at."""

    name = "demo"
    place = ""
    classes = demo.KINDS

    def __init__(self, size: tuple[int, int]) -> None:
        self._height, self._width = size
        self.labels: Sequence[int] = [i // DEMO_COUNT for i in range(len(self))]
        self.skipped: list[Skip] = []
        self.notes: list[str] = []

    def __len__(self) -> int:
        return len(self.classes) * DEMO_COUNT

    def item_name(self, i: int) -> str:
        """Name one picture: its class and its number there."""
        return f"{self.classes[i // DEMO_COUNT]}/{i % DEMO_COUNT:03d}"

    def picture(self, i: int) -> DemoPicture:
        """Return one picture, not yet drawn."""
        kind = self.classes[i // DEMO_COUNT]
        return DemoPicture(kind, i % DEMO_COUNT, self._height, self._width)

    def stored_bytes(self) -> int:
        """Return 0: nothing is stored."""
        return 0

    def fingerprint(self, progress: Progress = quiet) -> str:
        """Digest the size, and one picture of each kind, which changes when the drawing does."""
        digest = hashlib.sha256(f"demo {DEMO_COUNT} {self._height} {self._width}".encode())
        for done, kind in enumerate(self.classes):
            digest.update(kind.encode() + demo.draw(kind, 0).tobytes())
            progress(done + 1, len(self.classes))
        return digest.hexdigest()


def open_source(path: str, *, size: tuple[int, int], label_column: str = DEFAULT_COLUMN) -> Source:
    """Open a dataset by what a profile says: a folder, an archive, demo, or a built-in set.

    Args:
        path: Folder, archive or name; what lies on the disk comes first where there are both.
        size: Height and width that demo pictures are drawn at.
        label_column: Where a table of labels beside the pictures says the class.

    Raises:
        DatasetError: There is no such dataset, or nothing in it to train on.
    """
    folder = existing(path)
    if folder and folder.is_file() and is_archive(folder):
        return ArchiveSource(folder, label_column)
    if folder:
        return FolderSource(folder, label_column)
    if path == DemoSource.name:
        return DemoSource(size)
    if path in BUILTIN_NAMES:
        return open_builtin(path)
    raise _unknown(path)


def existing(path: str) -> Path | None:
    """Return the path if there is anything; words that no system takes for a path are none."""
    try:
        folder = Path(path).expanduser()
        return folder if folder.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _unknown(path: str) -> DatasetError:
    known = (DemoSource.name, *BUILTIN_NAMES)
    hint = f"Give a folder of pictures, a zip or tar, or one of: {', '.join(known)}."
    return DatasetError(
        f"There is no folder or archive {plain(path)}, nor a built-in set of that name.",
        " ".join(filter(None, (did_you_mean(path, known), hint))),
    )
