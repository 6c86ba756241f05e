"""Joining slices to a pack: their pixels stay in their files, and all else is put together.

The pack is what one process would have built in one file, but for the files of its pixels.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iddm_cli import durable
from iddm_cli.data.packs import store
from iddm_cli.data.packs.pack import StoredPack, describe_originals
from iddm_cli.data.packs.record import PackRecord
from iddm_cli.data.packs.slices.slice_source import SliceSource
from iddm_cli.data.sources.source import Source


def join_slices(
    source: Source,
    slices: Sequence[SliceSource],
    packs: Sequence[StoredPack],
    folder: Path,
    root: Path,
) -> StoredPack:
    """Complete the pack of a dataset.

    Args:
        source: The dataset.
        slices: Its slices.
        packs: The pack of each, below `root`, with equal specs.
        folder: The folder of the whole pack.
        root: The unfinished pack, a folder with those of the slices in it.

    Raises:
        OSError: The cache cannot be written.
    """
    record = _join_records(source, slices, packs, root)
    numbers = {name: label for label, name in enumerate(record.classes)}
    labels = []
    for pack in packs:
        table = np.array([numbers[name] for name in pack.record.classes] or [0], np.int64)
        labels.append(table[store.read_labels(pack.folder)].astype("<i4").tobytes())
    contents = {
        store.LABELS: labels,
        store.NAMES: [(pack.folder / store.NAMES).read_bytes() for pack in packs],
        store.DIGESTS: [(pack.folder / store.DIGESTS).read_bytes() for pack in packs],
    }
    for name, parts in contents.items():
        durable.write_file(root / name, b"".join(parts))
    store.write_record(root, record)
    used = {pack.folder for pack in packs}
    for other in [path for path in (root / store.SLICES).iterdir() if path not in used]:
        durable.discard(other)
    if folder.exists():
        durable.disk.remove(folder)
    durable.publish_folder(root, folder)
    return StoredPack(folder, packs[0].spec, record)


def _join_records(
    source: Source, slices: Sequence[SliceSource], packs: Sequence[StoredPack], root: Path
) -> PackRecord:
    """Return the record of the whole."""
    records = [pack.record for pack in packs]
    used = {name for record in records for name in record.classes}
    sizes = np.concatenate([store.read_sizes(pack.folder) for pack in packs])
    pixels = hashlib.sha256()
    for pack in packs:
        pixels.update(store.read_digests(pack.folder).pixels.tobytes().hex().encode())
    animated = sum(record.looks.animated for record in records)
    return records[0].model_copy(
        update={
            "count": sum(record.count for record in records),
            "classes": tuple(name for name in source.classes if name in used),
            "skipped": [entry for record in records for entry in record.skipped],
            "left_out": [
                part.start + i
                for part, record in zip(slices, records, strict=True)
                for i in record.left_out
            ],
            "grey": all(record.grey for record in records),
            "ordinary": all(record.ordinary for record in records),
            "looks": describe_originals(sizes, packs[0].spec, animated),
            "pixels": pixels.hexdigest(),
            "slices": tuple(pack.folder.relative_to(root).as_posix() for pack in packs),
        }
    )
