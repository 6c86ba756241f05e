"""Check shards of generated images: whether each is whole, and its images can be decoded."""

from pathlib import Path

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.sources.shards.shard_source import PARQUET, TARS
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError
from iddm_cli.workflows.generating.output.existing_images import Problem

FORMS = {suffix: form for form in (TARS, PARQUET) for suffix in form.suffixes}


def is_shard(path: Path) -> bool:
    """Return whether a file is a shard, by its name."""
    return path.suffix in FORMS


def find_shard_problem(path: Path, *, decode: bool) -> Problem:
    """Return what prevents a shard from being used: "" for nothing, missing or damaged.

    Args:
        path: The shard.
        decode: Whether every image is decoded as well.
    """
    form = FORMS[path.suffix]
    if not path.exists():
        return "missing"
    try:
        records = form.list_shard(path, SourceOptions((1, 1)))
        if decode:
            for offset, length in zip(records.offsets, records.lengths, strict=True):
                form.locate(path, int(offset), int(length)).open()
    except (DatasetError, UnreadableImageError, OSError):
        return "damaged"
    return "" if len(records.offsets) else "damaged"
