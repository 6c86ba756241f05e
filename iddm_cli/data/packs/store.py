"""Packs on the disk: each is a folder in the cache that appears as a whole, or not at all.

images.u8     uint8 [N, C, H, W], C-contiguous, no header; absent if images are streamed. Where
              crops are taken, each image has its own size, and they follow without gaps
images.u16    uint16 instead, little-endian: levels of deeper values, see value_range.py
shapes.i32    height and width of each, little-endian int32 [N, 2]; only where crops are taken
labels.i32    class index of each image, little-endian int32 [N]
names.txt     name of each image, one JSON string per line
digests.u8    uint8 [N, 32]: digest of each image's content, then that of its pixels
pack.json     a PackRecord

A pack of more than one file has those of its pixels in slices/*/, see slices/. Each of these
folders is a pack as well, and has sizes.i32: width and height of each original, int32 [N, 2].

An unfinished pack is a folder whose name begins with .partial-. It holds the images as far as they
are written, and journal.jsonl, from which an interrupted build resumes.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy import ndarray

from iddm_cli import durable
from iddm_cli.data.decoding.formats.packages import is_readable_now
from iddm_cli.data.decoding.images import digest_bytes
from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage, PrepareResult
from iddm_cli.data.packs.journal import from_json, to_json
from iddm_cli.data.packs.record import PackRecord
from iddm_cli.storage import features
from iddm_cli.value_range import ValueRange

PIXELS, DEEP_PIXELS = "images.u8", "images.u16"
LABELS = "labels.i32"
NAMES = "names.txt"
DIGESTS = "digests.u8"
DIGEST_BYTES = 16
RECORD = "pack.json"
JOURNAL = "journal.jsonl"
BLOCK = 2**16
SIZES = "sizes.i32"
SHAPES = "shapes.i32"
SLICES = "slices"


def pixels_file(values: ValueRange) -> str:
    """Return the name of the file of the pixels."""
    return PIXELS if values.is_8_bit else DEEP_PIXELS


def pixels_paths(folder: Path, record: PackRecord) -> tuple[Path, ...]:
    """Return the files of the pixels of a pack, in order."""
    name = pixels_file(record.values)
    return tuple(folder / part / name for part in record.slices) or (folder / name,)


def partial_folder(folder: Path) -> Path:
    """Return the folder of an unfinished pack."""
    return folder.with_name(f"{durable.PARTIAL_PREFIX}{folder.name}")


def read_record(folder: Path) -> PackRecord | None:
    """Return the record of a complete pack.

    None if there is none; if it is damaged; or if it lacks images that can be read by now, because
    packages were installed.
    """
    try:
        record = PackRecord.model_validate_json((folder / RECORD).read_bytes())
        sizes = [(folder / name).stat().st_size for name in (LABELS, NAMES, DIGESTS)]
        files = pixels_paths(folder, record) if record.stored else ()
        pixels = sum(path.stat().st_size for path in files)
        labels = read_labels(folder)
        positions = _count_positions(folder, record)
    except (OSError, ValueError):
        return None
    numbers = positions * record.channels
    expected = numbers * record.values.level_dtype.itemsize * record.stored
    valid = bool(((labels >= 0) & (labels < max(1, len(record.classes)))).all())
    complete = sizes[0] == 4 * record.count and sizes[1] > 0 and pixels == expected
    complete &= sizes[2] == 2 * DIGEST_BYTES * record.count
    outdated = any(is_readable_now(reason) for _, reason in record.skipped)
    return record if valid and complete and record.count > 0 and not outdated else None


def _count_positions(folder: Path, record: PackRecord) -> int:
    """Return the number of pixels of all images, each counted once for all its channels.

    Raises:
        ValueError: The sizes of the images are damaged.
    """
    if not record.cropped:
        return record.count * record.height * record.width
    sizes = read_shapes(folder)
    if len(sizes) != record.count or (sizes < [record.height, record.width]).any():
        raise ValueError("damaged sizes")
    return int(sizes.prod(axis=1).sum())


def mark_ordinary(folder: Path, record: PackRecord) -> None:
    """Record that a pack of an earlier version holds ordinary images, if the disk has room."""
    with suppress(OSError):
        content = _encode_record(record.model_copy(update={"ordinary": True}))
        durable.write_file(folder / RECORD, content)


def write_record(folder: Path, record: PackRecord) -> None:
    """Write the record of a pack.

    Raises:
        OSError: The cache cannot be written.
    """
    durable.write_file(folder / RECORD, _encode_record(record))


def _encode_record(record: PackRecord) -> bytes:
    """Encode a record; what has its default is left out, so that earlier versions read it."""
    return record.model_dump_json(exclude_defaults=True).encode()


def read_labels(folder: Path) -> ndarray:
    """Return the class index of each image, int64 [N]."""
    return np.fromfile(folder / LABELS, dtype="<i4").astype(np.int64)


def read_shapes(folder: Path) -> ndarray:
    """Return the height and width of each image that crops are taken of, int64 [N, 2]."""
    return np.fromfile(folder / SHAPES, dtype="<i4").astype(np.int64).reshape(-1, 2)


def read_sizes(folder: Path) -> ndarray:
    """Return width and height of each original of a slice, int64 [N, 2]."""
    return np.fromfile(folder / SIZES, dtype="<i4").astype(np.int64).reshape(-1, 2)


def read_names(folder: Path) -> list[str]:
    """Return the name of each image."""
    return [json.loads(line) for line in (folder / NAMES).read_text().splitlines()]


@dataclass(frozen=True)
class ImageDigests:
    """What tells the images of a pack apart.

    Attributes:
        content: Digest of what each image was decoded from, uint8 [N, 16].
        pixels: Digest of its stored pixels, uint8 [N, 16].
    """

    content: ndarray
    pixels: ndarray

    def digest_pixels(self, rows: ndarray) -> str:
        """Return what PackRecord.pixels is for a pack of these rows alone."""
        digest = hashlib.sha256()
        for start in range(0, len(rows), BLOCK):
            digest.update(self.pixels[rows[start : start + BLOCK]].tobytes().hex().encode())
        return digest.hexdigest()


def read_digests(folder: Path) -> ImageDigests:
    """Return the digests of each image."""
    both = np.fromfile(folder / DIGESTS, np.uint8).reshape(-1, 2, DIGEST_BYTES)
    return ImageDigests(both[:, 0], both[:, 1])


class PackWriter:
    """Writes a pack, and resumes where an earlier process stopped.

    Only one process may open it: hold the lock of the pack.

    Args:
        folder: Where the unfinished pack is.
        spec: Its pixels.
        stored: Whether pixels are stored.

    Attributes:
        results: What is known of each image of the source so far, without the pixels.
    """

    def __init__(self, folder: Path, spec: PixelSpec, *, stored: bool) -> None:
        self.folder = folder
        self.path = folder / pixels_file(spec.values)
        self.spec = spec
        self.stored = stored
        self.results: list[PrepareResult] = []
        self._pixels: IO[bytes] | None = None
        self._journal = durable.LineFile(folder / JOURNAL)

    def open(self) -> None:
        """Resume an earlier build up to the last image whose pixels match the journal.

        Raises:
            OSError: The cache cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        valid: list[str] = []
        with self.path.open("rb") as handle:
            for line, results in self._read_journal():
                if not self._verify(handle, results):
                    break
                valid.append(line)
                self.results += results
        if not _truncate(self.path, sum(map(self._count_bytes, select_prepared(self.results)))):
            self.results, valid = [], []
        self._journal.rewrite(valid)
        self._pixels = durable.disk.append_to(self.path)

    def _read_journal(self) -> Iterator[tuple[str, list[PrepareResult]]]:
        for line in self._journal.read_lines():
            try:
                results = [from_json(entry) for entry in json.loads(line)]
            except (ValueError, TypeError):
                return
            if any(isinstance(result, str) and is_readable_now(result) for result in results):
                return
            yield line, results

    def _verify(self, handle: IO[bytes], results: list[PrepareResult]) -> bool:
        """Compare pixels on the disk with their digests; a power cut may have lost some."""
        return not self.stored or all(
            digest_bytes(handle.read(self._count_bytes(image))) == image.digest
            for image in select_prepared(results)
        )

    def _count_bytes(self, image: PreparedImage) -> int:
        """Return the number of bytes that are stored of an image."""
        return self.stored * self.spec.count_stored_bytes(image.width, image.height)

    def append(self, results: list[PrepareResult]) -> None:
        """Write some images: first their pixels, then their entries in the journal."""
        assert self._pixels is not None, "it is open"
        if self.stored:
            planes = b"".join(image.planes for image in select_prepared(results))
            durable.disk.write(self._pixels, planes)
        self._journal.append(json.dumps([to_json(result) for result in results]))
        self.results += [_without_planes(result) for result in results]

    def read_planes(self) -> Iterator[bytes]:
        """Yield the stored pixels of each prepared image, in order."""
        with self.path.open("rb") as handle:
            for image in select_prepared(self.results):
                yield handle.read(self._count_bytes(image))

    def publish(
        self,
        folder: Path,
        record: PackRecord,
        labels: list[int],
        names: list[str],
        *,
        with_sizes: bool = False,
    ) -> None:
        """Finish the pack and rename it to its final name; a damaged one there is replaced.

        Args:
            folder: The final name.
            record: The record.
            labels: Class of each image.
            names: Name of each image.
            with_sizes: Whether the sizes of the originals are kept, as slices need them.

        Raises:
            OSError: The cache cannot be written.
        """
        assert self._pixels is not None, "it is open"
        durable.fsync_file(self._pixels)
        self._pixels.close()
        if not record.stored:
            self.path.unlink()
        durable.write_file(self.folder / LABELS, np.array(labels, dtype="<i4").tobytes())
        if record.cropped:
            durable.write_file(self.folder / SHAPES, self._list_shapes().tobytes())
        text = "".join(f"{json.dumps(name)}\n" for name in names)
        durable.write_file(self.folder / NAMES, text.encode())
        digests = "".join(image.content + image.digest for image in select_prepared(self.results))
        durable.write_file(self.folder / DIGESTS, bytes.fromhex(digests))
        if with_sizes:
            sizes = [(image.width, image.height) for image in select_prepared(self.results)]
            durable.write_file(self.folder / SIZES, np.array(sizes, dtype="<i4").tobytes())
        write_record(self.folder, record)
        (self.folder / JOURNAL).unlink()
        if folder.exists():
            durable.disk.remove(folder)
        durable.publish_folder(self.folder, folder)

    def _list_shapes(self) -> ndarray:
        """Return the height and width of each stored image, int32 [N, 2]."""
        images = select_prepared(self.results)
        sizes = [self.spec.find_stored_size(image.width, image.height) for image in images]
        return np.array(sizes, dtype="<i4")

    def close(self) -> None:
        """Close the files; a later process can resume from them."""
        if self._pixels is not None:
            self._pixels.close()

    def discard(self) -> None:
        """Remove the unfinished pack."""
        self.close()
        durable.discard(self.folder)


def _truncate(path: Path, length: int) -> bool:
    """Truncate a file; where the file system cannot, empty it and return False."""
    if path.stat().st_size == length:
        return True
    try:
        with path.open("r+b") as handle:
            handle.truncate(length)
    except OSError as error:
        if error.errno not in features.UNSUPPORTED:
            raise
        durable.write_file(path, b"")
        return False
    return True


def select_prepared(results: list[PrepareResult]) -> list[PreparedImage]:
    """Return the images that could be decoded."""
    return [result for result in results if isinstance(result, PreparedImage)]


def _without_planes(result: PrepareResult) -> PrepareResult:
    return result if isinstance(result, str) else replace(result, planes=b"")
