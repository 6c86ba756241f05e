"""Sources of shards: a dataset in tar shards, as webdataset writes them, or in Parquet files."""

import hashlib
import os
from collections.abc import Sequence
from typing import cast

from iddm_cli.data.decoding.images import ImageHandle
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.fingerprint import digest_files
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.data.sources.shards.parquet_shards import list_parquet_shard, locate_parquet_image
from iddm_cli.data.sources.shards.shard_index import ShardFormat, index_shards
from iddm_cli.data.sources.shards.shard_paths import (
    ShardPaths,
    find_shards,
    is_pattern,
    split_shards,
)
from iddm_cli.data.sources.shards.tar_shards import list_tar_shard, locate_tar_image
from iddm_cli.data.sources.source import HeldOutPart, SourceOptions, find_existing
from iddm_cli.errors import DatasetError
from iddm_cli.extras import require_extra

TARS = ShardFormat(
    name="tar shards",
    suffixes=(".tar",),
    list_shard=list_tar_shard,
    locate=locate_tar_image,
)
PARQUET = ShardFormat(
    name="Parquet files",
    suffixes=(".parquet",),
    list_shard=list_parquet_shard,
    locate=locate_parquet_image,
    modules=("pyarrow.parquet",),
)


class ShardSource:
    """The images of some shards, in the order of the shards, and within each as it holds them.

    Args:
        shards: The shards.
        form: Their format.
        options: The settings that labels depend on.
        name: Name of the dataset.
        part: Name of the part of a split that these shards are; "" for the training part.

    Raises:
        DatasetError: A shard is damaged, or there is no image.
    """

    def __init__(
        self, shards: ShardPaths, form: ShardFormat, options: SourceOptions, name: str, part: str
    ) -> None:
        split = split_shards(shards.paths) if not part else None
        used = split.training if split else shards.paths
        self.part = part
        self.name = name
        self.location = to_printable(str(shards.base.resolve()))
        self._shards = ShardPaths(shards.base, tuple(used), shards.label_files)
        self._form = form
        self._options = options
        self._split = split
        index = index_shards(self._shards, form, options)
        self._table = index.table
        self.classes = index.classes
        self.labels = cast(Sequence[int], index.table.labels)
        self.skipped = index.skipped
        self.notes = [f"{form.name}: {len(used):,}", *index.notes]
        if split and len(used) < len(shards.paths):
            self.notes.append(
                "left out, because their names are those of other parts than the training part: "
                f"{len(shards.paths) - len(used):,} of {len(shards.paths):,} files"
            )

    @property
    def held_out(self) -> HeldOutPart | None:
        """The validation or test shards."""
        split = self._split
        if split is None or not split.held_out:
            return None
        shards = ShardPaths(self._shards.base, split.held_out, self._shards.label_files)
        source = ShardSource(shards, self._form, self._options, self.name, split.part)
        return HeldOutPart(split.part, source)

    def __len__(self) -> int:
        return len(self._table)

    def item_name(self, i: int) -> str:
        """Return the shard of image `i`, and its name or row there."""
        shard, offset, _ = self._table.locate(i)
        name = self._table.name(i) or str(offset)
        return to_printable(f"{self._shards.paths[shard]}/{name}")

    def image(self, i: int) -> ImageHandle:
        """Return a handle of image `i`."""
        shard, offset, length = self._table.locate(i)
        return self._form.locate(self._shards.base / self._shards.paths[shard], offset, length)

    def stored_bytes(self) -> int:
        """Return the size of all shards."""
        return sum((self._shards.base / path).stat().st_size for path in self._shards.paths)

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Digest the shards, and the class of each image."""
        content = digest_files(self._shards.base, self._shards.paths, progress, part=self.part)
        digest = hashlib.sha256(content.encode())
        for key in ("shard", "offset", "label"):
            digest.update(self._table.columns[key].data)
        digest.update("\0".join(self.classes).encode())
        return digest.hexdigest()


def is_tar_shards(path: str) -> bool:
    """Return whether a path means tar shards: a folder of them, or a pattern."""
    return _means_shards(path, TARS, single=False)


def is_parquet(path: str) -> bool:
    """Return whether a path means Parquet: a file, a folder of them, or a pattern."""
    return _means_shards(path, PARQUET, single=True)


def open_tar_shards(path: str, options: SourceOptions) -> ShardSource:
    """Open a dataset of tar shards.

    Raises:
        DatasetError: A shard is missing or damaged, or there is no image.
    """
    return _open(path, TARS, options)


def open_parquet(path: str, options: SourceOptions) -> ShardSource:
    """Open a dataset of Parquet files.

    Raises:
        DatasetError: A file is missing or damaged, or there is no image.
        UsageError: pyarrow is not installed.
    """
    return _open(path, PARQUET, options)


def _means_shards(path: str, form: ShardFormat, *, single: bool) -> bool:
    if is_pattern(path):
        return path.lower().endswith(form.suffixes)
    found = find_existing(path)
    if found is None or not (single or found.is_dir()):
        return False
    return find_shards(path, form.suffixes) is not None


def open_shards(
    shards: ShardPaths, form: ShardFormat, options: SourceOptions, *, name: str, location: str
) -> ShardSource:
    """Open a dataset of shards that were found elsewhere and copied here.

    Args:
        shards: The copies.
        form: Their format.
        options: The settings that labels depend on.
        name: Name of the dataset.
        location: Where they come from.

    Raises:
        DatasetError: A shard is damaged, or there is no image.
        UsageError: A package is missing.
    """
    if form is PARQUET:
        require_extra("parquet", ["pyarrow"], needed_by="a dataset in Parquet")
    source = ShardSource(shards, form, options, name, "")
    source.location = to_printable(location)
    return source


def _open(path: str, form: ShardFormat, options: SourceOptions) -> ShardSource:
    shards = find_shards(path, form.suffixes)
    if shards is None:
        raise DatasetError(f"{to_printable(path)} holds no {form.name}", "Check data.path.")
    name = os.path.basename(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100,PTH111,PTH119
    location = str(shards.base.resolve())
    return open_shards(shards, form, options, name=to_printable(name), location=location)
