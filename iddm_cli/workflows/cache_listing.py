"""The contents of the cache, described for `iddm cache`."""

from typing import Any

from iddm_cli.data.cache import CacheEntry, list_entries, read_origin
from iddm_cli.data.packs.store import read_record

DESCRIPTIONS = {
    "pack": "decoded images",
    "partial": "incomplete",
    "download": "download",
    "archive": "tar",
    "index": "index of shards",
    "generated": "generated images",
    "features": "feature network",
    "classifiers": "classifiers",
    "compiled": "compiled kernels",
}
"""What the user reads for each kind of cache entry."""


def describe_cache() -> list[dict[str, Any]]:
    """Return one JSON object for each entry of the cache, the largest entry first.

    Raises:
        DatasetError: The cache cannot be read.
    """
    return [_describe_entry(entry) for entry in list_entries()]


def _describe_entry(entry: CacheEntry) -> dict[str, Any]:
    record = read_record(entry.path) if entry.kind == "pack" else None
    is_damaged = entry.kind == "pack" and not record
    return {
        "key": entry.key,
        "kind": "damaged" if is_damaged else DESCRIPTIONS[entry.kind],
        "dataset": (record.place or record.source) if record else read_origin(entry.path),
        "pictures": record.count if record else None,
        "size": f"{record.width} x {record.height}" if record else None,
        "channels": record.channels if record else None,
        "bytes": entry.bytes,
        "days": round(entry.age_days(), 2),
        "path": str(entry.path),
    }
