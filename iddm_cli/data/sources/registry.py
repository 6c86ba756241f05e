"""The table of dataset sources: what `data.path` may be, and what opens it.

To add a source, write its module and add its row to DATASET_SOURCES.
"""

from collections.abc import Callable
from dataclasses import dataclass

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.archive import is_archive, open_archive
from iddm_cli.data.sources.builtin import BUILTIN_NAMES, open_builtin
from iddm_cli.data.sources.demo import DemoSource, open_demo
from iddm_cli.data.sources.folder import exists_on_disk, open_folder
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS, LabelOptions
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.data.sources.remote.remote_source import is_remote, open_remote
from iddm_cli.data.sources.shards.shard_source import (
    is_parquet,
    is_tar_shards,
    open_parquet,
    open_tar_shards,
)
from iddm_cli.data.sources.source import Source, SourceOptions
from iddm_cli.errors import DatasetError, did_you_mean
from iddm_cli.profiles.settings import DataSettings


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """One kind of dataset: all that the program knows about it."""

    name: str
    """Unique name of the kind."""

    summary: str
    """One sentence for help and documentation."""

    accepts: str
    """What to set `data.path` to, completing "set data.path to …"."""

    keywords: tuple[str, ...] = ()
    """Names that `data.path` may be; empty where it is a path."""

    matches: Callable[[str], bool]
    """`matches(path)` returns whether `data.path` means a dataset of this kind."""

    open: Callable[[str, SourceOptions], Source]
    """`open(path, options)` opens it, or raises a DatasetError."""


DATASET_SOURCES: tuple[DatasetSource, ...] = (
    DatasetSource(
        name="remote",
        summary="An archive, tar shards or Parquet at a URL, fetched to the cache.",
        accepts="a URL of an archive or of shards (s3://, gs://, https://, hf://, ...)",
        matches=is_remote,
        open=open_remote,
    ),
    DatasetSource(
        name="archive",
        summary="A .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz file of images, read in place.",
        accepts="a zip or tar archive of images",
        matches=is_archive,
        open=open_archive,
    ),
    DatasetSource(
        name="parquet",
        summary="Parquet files with a column of images, as Hugging Face datasets writes them.",
        accepts="a Parquet file or a folder of Parquet files",
        matches=is_parquet,
        open=open_parquet,
    ),
    DatasetSource(
        name="tar-shards",
        summary="Many tar files of images and labels, as webdataset writes them.",
        accepts="a folder of tar shards or a pattern such as train-{000..127}.tar",
        matches=is_tar_shards,
        open=open_tar_shards,
    ),
    DatasetSource(
        name="folder",
        summary="A folder of images, with one subfolder for each class or a metadata table.",
        accepts="a folder of images",
        matches=exists_on_disk,
        open=open_folder,
    ),
    DatasetSource(
        name="demo",
        summary="Images of six steel defects, rendered by the program; nothing is downloaded.",
        accepts=DemoSource.name,
        keywords=(DemoSource.name,),
        matches=DemoSource.name.__eq__,
        open=open_demo,
    ),
    DatasetSource(
        name="builtin",
        summary="A well-known dataset, downloaded by torchvision when it is first used.",
        accepts=f"a built-in dataset ({', '.join(BUILTIN_NAMES)})",
        keywords=BUILTIN_NAMES,
        matches=BUILTIN_NAMES.__contains__,
        open=open_builtin,
    ),
)
"""In order of precedence: what exists on disk comes before a name."""


def open_source(
    path: str,
    *,
    size: tuple[int, int],
    labels: LabelOptions = DEFAULT_LABELS,
    archive_encoding: str = "auto",
    progress: ProgressCallback = no_progress,
) -> Source:
    """Open the dataset that `data.path` means, by the first row of DATASET_SOURCES that matches.

    Args:
        path: A folder, an archive, or the name of a dataset.
        size: Height and width that generated images are rendered at.
        labels: The settings that labels depend on.
        archive_encoding: Encoding of names in an archive that are not marked as UTF-8.
        progress: Called while files are fetched from a remote place.

    Raises:
        DatasetError: There is no such dataset, or it contains nothing to train on.
    """
    for row in DATASET_SOURCES:
        if row.matches(path):
            return row.open(path, SourceOptions(size, labels, archive_encoding, progress))
    raise _unknown_dataset(path)


def open_dataset(
    data: DataSettings,
    *,
    require_labels: bool = True,
    progress: ProgressCallback = no_progress,
) -> Source:
    """Open the dataset of a profile.

    Args:
        data: The settings.
        require_labels: Whether a label file without usable labels is an error, unless
            data.conditional is false.
        progress: Called while files are fetched from a remote place.

    Raises:
        DatasetError: There is no such dataset, or it contains nothing to train on.
    """
    required = require_labels and data.conditional is not False
    return open_source(
        data.path,
        size=data.stored_size,
        labels=LabelOptions(
            column=data.label_column,
            pattern=data.label_pattern,
            recognise_layout=data.layout == "auto",
            required=required,
        ),
        archive_encoding=data.archive_encoding,
        progress=progress,
    )


def _unknown_dataset(path: str) -> DatasetError:
    keywords = [keyword for row in DATASET_SOURCES for keyword in row.keywords]
    *most, last = [row.accepts for row in DATASET_SOURCES]
    hint = f"Set data.path (--data) to {', '.join(most)} or {last}."
    return DatasetError(
        f"no folder, archive or built-in dataset is called {to_printable(path)}",
        " ".join(filter(None, (did_you_mean(path, keywords), hint))),
    )
