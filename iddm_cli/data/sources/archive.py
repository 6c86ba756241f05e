"""Archives: a dataset of images in one zip or tar file, read without unpacking it."""

from pathlib import Path

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.archive_members import ArchiveMember
from iddm_cli.data.sources.archive_names import AUTO
from iddm_cli.data.sources.archive_reader import has_archive_suffix, read_archive
from iddm_cli.data.sources.fingerprint import digest_files
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS, LabelOptions
from iddm_cli.data.sources.source import IndexedSource, SourceOptions, find_existing


class ArchiveSource(IndexedSource):
    """The images of a zip or tar file."""

    def __init__(
        self, path: Path, labels: LabelOptions = DEFAULT_LABELS, encoding: str = AUTO
    ) -> None:
        contents = read_archive(path, labels, encoding)
        super().__init__(path, contents.index)
        self._members = contents.members
        self._path = path

    def image(self, i: int) -> ArchiveMember:
        """Return a handle of image `i`."""
        return self._members[self.paths[i]]

    def stored_bytes(self) -> int:
        """Return the size of all images, as they are stored in the archive."""
        return sum(self._members[path].stored_size for path in self.paths)

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Digest the archive file, and the class of each image."""
        content = digest_files(self._path, [""], progress)
        return self.digest_with_labels(content)


def is_archive(path: str) -> bool:
    """Return whether the path is an existing file with the suffix of an archive."""
    file = find_existing(path)
    return file is not None and file.is_file() and has_archive_suffix(file)


def open_archive(path: str, options: SourceOptions) -> ArchiveSource:
    """Open an archive of images.

    Raises:
        DatasetError: It is damaged or encrypted, or contains no image.
    """
    return ArchiveSource(Path(path).expanduser(), options.labels, options.archive_encoding)
