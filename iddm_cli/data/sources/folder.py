"""Folders: a dataset of image files below one folder."""

from dataclasses import dataclass
from pathlib import Path

from iddm_cli.data.decoding.images import MAX_FILE_BYTES, DecodedImage, decode_image_file
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.fingerprint import digest_files
from iddm_cli.data.sources.indexing.index import index_folder
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS, LabelOptions
from iddm_cli.data.sources.source import IndexedSource, SourceOptions, find_existing


@dataclass(frozen=True)
class FileImage:
    """An image file, not decoded yet."""

    root: str
    path: str

    def open(self, min_side: int = 0) -> DecodedImage:
        """Decode the file; see `ImageHandle.open`."""
        return decode_image_file(Path(self.root, self.path), min_side)


class FolderSource(IndexedSource):
    """The images of a folder."""

    def __init__(self, root: Path, labels: LabelOptions = DEFAULT_LABELS) -> None:
        super().__init__(root, index_folder(root, labels))
        self._root = root

    def image(self, i: int) -> FileImage:
        """Return a handle of image `i`."""
        return FileImage(str(self._root), self.paths[i])

    def stored_bytes(self) -> int:
        """Return the size of all image files."""
        return sum(_file_size(self._root / path) for path in self.paths)

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Digest the path, content and class of each image."""
        content = digest_files(
            self._root, self.paths, progress, part=self.part, max_bytes=MAX_FILE_BYTES
        )
        return self.digest_with_labels(content)


def exists_on_disk(path: str) -> bool:
    """Return whether the path exists: what is not a folder gets a precise error when opened."""
    return find_existing(path) is not None


def open_folder(path: str, options: SourceOptions) -> FolderSource:
    """Open a folder of images.

    Raises:
        DatasetError: It is not a folder, cannot be read, or contains no image.
    """
    return FolderSource(Path(path).expanduser(), options.labels)


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
