"""Tar shards: many samples in each of many tars, as webdataset writes them.

The files of a sample have one name up to the first dot: 000012.png and 000012.cls, or 000012.json.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from iddm_cli.data.sources.archive_members import ARCHIVE_ERRORS, ArchiveMember, describe_damage
from iddm_cli.data.sources.archive_names import NameDecoder
from iddm_cli.data.sources.archive_reader import list_tar
from iddm_cli.data.sources.indexing.labels.label_sources import find_labels
from iddm_cli.data.sources.indexing.labels.labelling import LabelScan, parent_folder
from iddm_cli.data.sources.indexing.listing import Listing, SkippedFile, to_printable
from iddm_cli.data.sources.shards.shard_records import ShardLabels, ShardRecords
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.data.sources.untar import is_compressed
from iddm_cli.errors import DatasetError


def list_tar_shard(path: Path, options: SourceOptions) -> ShardRecords:
    """List the images of a tar, with their classes.

    Raises:
        DatasetError: It is damaged, or a label file in it is.
    """
    names = NameDecoder(options.archive_encoding)
    try:
        if is_compressed(path):
            raise DatasetError(
                f"{path} is a compressed tar, in which no image can be read by itself",
                "Decompress the shards, such as with gunzip; images are compressed already.",
            )
        listing, members = list_tar(path, names)
    except ARCHIVE_ERRORS as error:
        raise DatasetError(
            f"{path} cannot be read as a tar: {describe_damage(error)}",
            "It may be incomplete; copy or download it again.",
        ) from error
    found = find_labels(_make_scan(listing, options))
    classes = found.classes or {}
    paths = [name for name in listing.paths if name not in found.skipped]
    paths.sort(key=lambda name: members[name].offset)
    left_out = [(to_printable(name), why) for name, why in found.skipped.items() if why]
    return ShardRecords(
        offsets=np.array([members[name].offset for name in paths], np.int64),
        lengths=np.array([members[name].size for name in paths], np.int64),
        labels=ShardLabels.encode([classes.get(name, "") for name in paths]),
        folders=ShardLabels.encode([_folder_name(name) for name in paths]),
        names=paths,
        order=None if found.order is None else tuple(found.order),
        skipped=_list_strays(listing) + left_out,
        notes=found.notes + names.notes,
    )


def locate_tar_image(path: Path, offset: int, length: int) -> ArchiveMember:
    """Return a handle of an image in a tar."""
    return ArchiveMember(str(path), offset, length, length)


def _make_scan(listing: Listing, options: SourceOptions) -> LabelScan:
    return LabelScan(
        base="",
        paths=listing.paths,
        all_paths=listing.paths,
        files=listing.label_files,
        read=listing.read,
        options=replace(options.labels, required=False),
        has_class_folders="/" in "".join(listing.paths),
    )


def _folder_name(path: str) -> str:
    """Return the name of the innermost folder of a path; "" where it lies in none."""
    return to_printable(parent_folder(path)[:-1].rpartition("/")[2])


def _list_strays(listing: Listing) -> list[SkippedFile]:
    """Return the skipped entries that belong to no sample: its other files are expected."""
    stems = {name.partition(".")[0] for name in listing.paths}
    return [entry for entry in listing.skipped if entry[0].partition(".")[0] not in stems]
