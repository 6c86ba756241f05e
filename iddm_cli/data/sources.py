"""Sources of pictures: a folder, a built-in set, or the demo, all behind one contract."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from iddm_cli.data import demo
from iddm_cli.data.builtin import BUILTIN_NAMES, open_builtin
from iddm_cli.data.images import open_image
from iddm_cli.data.index import FolderIndex, Skip, index_folder, plain
from iddm_cli.errors import DatasetError, did_you_mean

DEMO_COUNT = 500


class Source(Protocol):
    """Pictures that can be counted, named and decoded one at a time, from any thread."""

    @property
    def name(self) -> str:
        """What the dataset is called."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty where there are none."""

    @property
    def labels(self) -> Sequence[int]:
        """Class of each picture; all 0 where there are none."""

    @property
    def skipped(self) -> list[Skip]:
        """What was found beside the pictures: names and reasons."""

    def __len__(self) -> int: ...

    def item_name(self, i: int) -> str:
        """Name one picture, in letters that can be printed."""

    def image(self, i: int) -> Image.Image:
        """Decode one picture.

        Raises:
            UnreadableImage: It cannot be decoded.
        """

    def stored_bytes(self) -> int:
        """Return the bytes that the pictures take where they are stored; 0 if nowhere."""

    def fingerprint(self) -> str:
        """Return a SHA-256 that changes when the pictures do."""


class FolderSource:
    """The pictures of a folder."""

    def __init__(self, index: FolderIndex) -> None:
        self.name = plain(index.root.resolve().name)
        self.classes = index.classes
        self.labels: Sequence[int] = index.labels or (0,) * len(index.paths)
        self.skipped = index.skipped
        self._index = index

    def __len__(self) -> int:
        return len(self._index.paths)

    def item_name(self, i: int) -> str:
        """Return the path below the folder."""
        return plain(self._index.paths[i])

    def image(self, i: int) -> Image.Image:
        """Decode one file."""
        return open_image(self._index.root / self._index.paths[i])

    def stored_bytes(self) -> int:
        """Return the size of all files."""
        return sum(self._facts(i)[0] for i in range(len(self)))

    def fingerprint(self) -> str:
        """Digest where the folder is, and each file's path, size and time of change."""
        digest = hashlib.sha256(os.fsencode(self._index.root.resolve()))
        for i, path in enumerate(self._index.paths):
            size, changed = self._facts(i)
            digest.update(b"\0%b\0%d\0%d" % (os.fsencode(path), size, changed))
        return digest.hexdigest()

    def _facts(self, i: int) -> tuple[int, int]:
        try:
            facts = (self._index.root / self._index.paths[i]).stat()
        except OSError:
            return 0, 0
        return facts.st_size, facts.st_mtime_ns


class DemoSource:
    """The pictures that the program draws itself, at the size they are trained at."""

    name = "demo"
    classes = demo.KINDS

    def __init__(self, size: tuple[int, int]) -> None:
        self._height, self._width = size
        self.labels: Sequence[int] = [i // DEMO_COUNT for i in range(len(self))]
        self.skipped: list[Skip] = []

    def __len__(self) -> int:
        return len(self.classes) * DEMO_COUNT

    def item_name(self, i: int) -> str:
        """Name one picture: its class and its number there."""
        return f"{self.classes[i // DEMO_COUNT]}/{i % DEMO_COUNT:03d}"

    def image(self, i: int) -> Image.Image:
        """Draw one picture."""
        kind = self.classes[i // DEMO_COUNT]
        return demo.draw(kind, i % DEMO_COUNT, height=self._height, width=self._width)

    def stored_bytes(self) -> int:
        """Return 0: nothing is stored."""
        return 0

    def fingerprint(self) -> str:
        """Digest the size, and one picture of each kind, which changes when the drawing does."""
        digest = hashlib.sha256(f"demo {DEMO_COUNT} {self._height} {self._width}".encode())
        for kind in self.classes:
            digest.update(kind.encode() + demo.draw(kind, 0).tobytes())
        return digest.hexdigest()


def open_source(path: str, *, size: tuple[int, int]) -> Source:
    """Open a dataset by what a profile says: a folder, demo, or the name of a built-in set.

    Args:
        path: Folder or name; a folder comes first where both exist.
        size: Height and width that demo pictures are drawn at.

    Raises:
        DatasetError: There is no such dataset, or nothing in it to train on.
    """
    folder = _existing(path)
    if folder:
        return FolderSource(index_folder(folder))
    if path == DemoSource.name:
        return DemoSource(size)
    if path in BUILTIN_NAMES:
        return open_builtin(path)
    raise _unknown(path)


def _existing(path: str) -> Path | None:
    """Return the path if there is anything; words that no system takes for a path are none."""
    try:
        folder = Path(path).expanduser()
        return folder if folder.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _unknown(path: str) -> DatasetError:
    known = (DemoSource.name, *BUILTIN_NAMES)
    hint = f"Give a folder of pictures, or one of: {', '.join(known)}."
    return DatasetError(
        f"There is no folder {plain(path)}, nor a built-in set of that name.",
        " ".join(filter(None, (did_you_mean(path, known), hint))),
    )
