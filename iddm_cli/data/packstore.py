"""The packs in the cache: each a folder that appears whole, or not at all.

images.u8    uint8 [N, C, H, W], C-contiguous, no header
pack.json    what is known of them: a Record
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from iddm_cli import durable
from iddm_cli.data.cache import HINT, cache_error
from iddm_cli.data.index import Skip
from iddm_cli.errors import DatasetError
from iddm_cli.settings import Settings

PIXELS = "images.u8"
RECORD = "pack.json"
DAY_SECONDS = 86_400


class Record(Settings):
    """What pack.json holds; classes and labels as found, whether or not they are learnt."""

    count: int
    height: int
    width: int
    channels: int
    classes: tuple[str, ...]
    labels: list[int]
    names: list[str]
    skipped: list[Skip]
    pixels: str
    """SHA-256 of images.u8."""


def read(folder: Path) -> Record | None:
    """Return what a whole pack holds; None where there is none, or it is damaged."""
    try:
        record = Record.model_validate_json((folder / RECORD).read_bytes())
        size = (folder / PIXELS).stat().st_size
    except (OSError, ValueError):
        return None
    return record if _agrees(record, size) else None


def _agrees(record: Record, size: int) -> bool:
    """Hold the numbers of a record against each other, and against the size of images.u8."""
    lengths = {record.count, len(record.labels), len(record.names)}
    known = range(max(1, len(record.classes)))
    expected = record.count * record.channels * record.height * record.width
    return size == expected and len(lengths) == 1 and set(record.labels) <= set(known)


def build(folder: Path, size: int, fill: Callable[[Path], Record]) -> Record:
    """Make a pack under a name of its own, then give it its place.

    Where another process has put a whole pack of as many pictures there meanwhile, that is used.

    Args:
        folder: The place; a pack there that is damaged, or has fewer pictures, is replaced.
        size: Bytes that the pixels will take.
        fill: Writes images.u8 into the folder it is given, and returns the record of it.

    Raises:
        DatasetError: The cache cannot be written, or has no room.
    """
    packs = folder.parent
    temporary = _unused(packs)
    try:
        packs.mkdir(parents=True, exist_ok=True)
        _sweep(packs)
        _check_room(packs, size)
        temporary.mkdir()
        record = fill(temporary)
        durable.write_file(temporary / RECORD, record.model_dump_json().encode())
        return _publish(temporary, folder, record)
    except OSError as error:
        raise cache_error(error, packs) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, folder: Path, record: Record) -> Record:
    try:
        durable.publish_folder(temporary, folder)
    except FileExistsError:
        winner = read(folder)
        if winner and winner.count >= record.count:
            return winner
        _discard(folder)
        durable.publish_folder(temporary, folder)
    return record


def _unused(packs: Path) -> Path:
    """Return a name that no other process or thread uses, and that is never taken for a pack."""
    return packs / f"{durable.PARTIAL}{os.getpid()}-{uuid.uuid4().hex}"


def _sweep(packs: Path) -> None:
    """Remove what was cut off long ago; a pack in the making is written to all the time."""
    for leftover in packs.glob(f"{durable.PARTIAL}*"):
        if time.time() - _touched(leftover) > DAY_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _touched(leftover: Path) -> float:
    """Return when a folder was last written to; now, if it has just gone."""
    try:
        return max(path.stat().st_mtime for path in (leftover, *leftover.iterdir()))
    except OSError:
        return time.time()


def _discard(folder: Path) -> None:
    """Take a pack away in one step, then remove it."""
    aside = _unused(folder.parent)
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _check_room(packs: Path, needed: int) -> None:
    free = shutil.disk_usage(packs).free
    if free < needed:
        raise DatasetError(
            f"Packing needs {needed / 1e9:.2f} GB in {packs}, where {free / 1e9:.2f} GB are free.",
            HINT,
        )
