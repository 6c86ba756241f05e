"""Sources: the contract of every dataset, and the base class of those that an index describes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from iddm_cli.data.decoding.images import ImageHandle
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.fingerprint import digest_labels
from iddm_cli.data.sources.indexing.index import Index
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS, LabelOptions
from iddm_cli.data.sources.indexing.listing import SkippedFile, to_printable


@dataclass(frozen=True)
class HeldOutPart:
    """A part of a dataset that is not for training: its own validation or test images."""

    name: str
    """Name of the part, such as val."""

    source: "Source"
    """Its images; their classes have the names of those of the training part."""


class Source(Protocol):
    """A dataset: images that can be counted, named, and decoded one at a time."""

    @property
    def name(self) -> str:
        """Name of the dataset."""

    @property
    def location(self) -> str:
        """Absolute path of the dataset; "" if it is generated or downloaded."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for a dataset without classes."""

    @property
    def labels(self) -> Sequence[int]:
        """Class of each image, as an index into `classes`; all 0 without classes."""

    @property
    def skipped(self) -> list[SkippedFile]:
        """The entries that are not images of the dataset, with reasons."""

    @property
    def notes(self) -> list[str]:
        """How the layout was understood, as sentences for the user."""

    @property
    def held_out(self) -> HeldOutPart | None:
        """The dataset's own validation or test part; None if it has none."""

    def __len__(self) -> int: ...

    def item_name(self, i: int) -> str:
        """Return the printable name of image `i`."""

    def image(self, i: int) -> ImageHandle:
        """Return a handle of image `i`, which is not decoded yet."""

    def stored_bytes(self) -> int:
        """Return the bytes that the images take where they are stored; 0 if nowhere."""

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Return a SHA-256 that changes whenever an image or a label does."""


@dataclass(frozen=True)
class SourceOptions:
    """The settings that opening a source may depend on."""

    size: tuple[int, int]
    """Height and width that generated images are rendered at."""

    labels: LabelOptions = DEFAULT_LABELS
    """The settings that labels depend on."""

    archive_encoding: str = "auto"
    """Encoding of names in an archive that are not marked as UTF-8."""

    progress: ProgressCallback = no_progress
    """Called while files are fetched from a remote place."""


class IndexedSource(ABC):
    """What folders and archives have in common: images that an index lists.

    Args:
        path: The folder or archive.
        index: Its images and their classes.

    Attributes:
        part: Name of the part of the dataset that these images are; "" for the training part.
    """

    def __init__(self, path: Path, index: Index) -> None:
        self.part = ""
        self._base = path
        self._index_part = index.index_part
        self.name = to_printable(path.resolve().name)
        self.location = to_printable(str(path.resolve()))
        self.classes = index.classes
        self.labels: Sequence[int] = index.labels or (0,) * len(index.paths)
        self.skipped = index.skipped
        self.notes = index.notes
        self.paths = index.paths

    @property
    def held_out(self) -> HeldOutPart | None:
        """The validation or test images; only their index is another one."""
        found = self._index_part()
        if found is None:
            return None
        part = copy(self)
        IndexedSource.__init__(part, self._base, found.index)
        part.part = found.name
        return HeldOutPart(found.name, part)

    def __len__(self) -> int:
        return len(self.paths)

    def item_name(self, i: int) -> str:
        """Return the path of image `i` below the folder, or in the archive."""
        return to_printable(self.paths[i])

    @abstractmethod
    def image(self, i: int) -> ImageHandle:
        """Return a handle of image `i`."""

    @abstractmethod
    def stored_bytes(self) -> int:
        """Return the size of all images where they are stored."""

    @abstractmethod
    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Digest the content and class of each image."""

    def digest_with_labels(self, content: str) -> str:
        """Return the digest of the content together with each image's class."""
        return digest_labels(content, self.paths, self.labels, self.classes)


def find_existing(path: str) -> Path | None:
    """Return the path if it exists; None as well for text that no system accepts as a path."""
    try:
        expanded = Path(path).expanduser()
        return expanded if expanded.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def make_absolute(path: str) -> str:
    """Return an absolute path of what exists, or of a pattern; a name of a dataset as it is."""
    found = find_existing(path)
    if found is not None:
        return str(found.resolve())
    is_local_pattern = ("*" in path or "{" in path) and "://" not in path
    return str(Path(path).expanduser().absolute()) if is_local_pattern else path
