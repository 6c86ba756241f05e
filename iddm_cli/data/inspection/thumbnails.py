"""Thumbnails for the inspection report: of classes, of duplicates, before and after preprocessing.

Worker processes with a time limit decode the images and encode the thumbnails.
"""

import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.bands import to_view
from iddm_cli.data.decoding.images import ImageHandle, UnreadableImageError
from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.decoding.workers import WorkerPool
from iddm_cli.data.inspection.duplicates import Groups
from iddm_cli.data.inspection.scan import DatasetScan
from iddm_cli.data.progress import ProgressCallback, no_progress

SIDE = 128
"""Longer side of a thumbnail, in pixels."""

LOSSLESS_SIDE = 48
QUALITY = 80
MAX_CLASS_THUMBNAILS = 1000
"""Thumbnails of all classes together: 5 MB, or 19 MB for pure noise. With many classes each shows
fewer, and classes beyond this number show none."""

PER_CLASS = 10
GROUPS, PER_GROUP = 12, 6
PAIRS = 8
CHUNK_SIZE = 4

Row = TypeVar("Row")


@dataclass(frozen=True)
class Thumbnail:
    """A small encoded image."""

    name: str
    content: bytes
    format: str  # png or webp
    width: int
    height: int

    def image(self) -> Image.Image:
        """Return the decoded thumbnail; its content is trusted, since iddm encoded it."""
        with Image.open(io.BytesIO(self.content)) as image:
            return image.convert("RGB")


@dataclass(frozen=True)
class ThumbnailPair:
    """Thumbnails of one image before and after preprocessing."""

    original: Thumbnail
    preprocessed: Thumbnail


@dataclass(frozen=True)
class ThumbnailSet:
    """All thumbnails of a report.

    Attributes:
        classes: A few of each class, evenly spread over it; one row if there are no classes.
        pairs: A few images before and after preprocessing.
        equal: The first groups of equal images.
        near: The first groups of near duplicates.
    """

    classes: list[list[Thumbnail]]
    pairs: list[ThumbnailPair]
    equal: list[list[Thumbnail]]
    near: list[list[Thumbnail]]


def build_thumbnails(
    scan: DatasetScan, *, progress: ProgressCallback = no_progress
) -> ThumbnailSet:
    """Choose images of a scan and make their thumbnails."""
    classes = choose_class_examples(scan)
    pairs = choose_evenly(range(len(scan.items)), PAIRS)
    equal, near = (_first_groups(scan, groups) for groups in (scan.equal, scan.near.groups))
    rows = sorted({*pairs, *(row for part in (classes, equal, near) for g in part for row in g)})
    made = dict(zip(rows, _decode_rows(scan, rows, progress), strict=True))

    def originals(group: Iterable[int]) -> list[Thumbnail]:
        return [pair.original for row in group if (pair := made[row])]

    return ThumbnailSet(
        classes=[originals(group) for group in classes],
        pairs=[pair for row in pairs if (pair := made[row])],
        equal=[originals(group) for group in equal],
        near=[originals(group) for group in near],
    )


def choose_class_examples(scan: DatasetScan) -> Groups:
    """Return rows of each class, evenly spread over it."""
    count = max(1, len(scan.source.classes))
    each = max(1, min(PER_CLASS, MAX_CLASS_THUMBNAILS // count))
    groups: Groups = [[] for _ in range(count)]
    for row, label in enumerate(scan.labels.tolist()):
        groups[label].append(row)
    return [
        choose_evenly(group, each) if label < MAX_CLASS_THUMBNAILS else []
        for label, group in enumerate(groups)
    ]


def choose_evenly(rows: Sequence[Row], count: int) -> list[Row]:
    """Return up to `count` of the rows, evenly spaced."""
    if not rows:
        return []
    positions = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[position] for position in positions]


def _first_groups(scan: DatasetScan, groups: Groups) -> Groups:
    return [group[:PER_GROUP] for group in scan.sort_groups(groups)[:GROUPS]]


def _decode_rows(
    scan: DatasetScan, rows: list[int], progress: ProgressCallback
) -> list[ThumbnailPair | None]:
    """Return the thumbnails of each row; None if the image can no longer be read."""
    settings = scan.settings
    work = partial(_make_pair, scan.spec)
    items = [int(scan.items[row]) for row in rows]
    pairs: list[ThumbnailPair | None] = []
    with WorkerPool(settings.workers, timeout=settings.timeout) as workers:
        named = ((scan.source.item_name(i), scan.source.image(i)) for i in items)
        chunks = workers.map_ordered(work, named, chunk=CHUNK_SIZE)
        with closing(chunks):
            for chunk in chunks:
                pairs += [pair if isinstance(pair, ThumbnailPair) else None for pair in chunk]
                progress("making thumbnails", len(pairs), len(rows))
    return pairs


def _make_pair(spec: PixelSpec, named_image: tuple[str, ImageHandle]) -> ThumbnailPair | None:
    name, image = named_image
    try:
        decoded = image.open(0 if spec.is_cropped else SIDE)
        view = to_view(decoded, spec.values, spec.background)
        pixels = spec.to_pixels(view) if spec.is_ordinary else spec.to_levels(decoded)
        top, left = (
            (have - want) // 2 for have, want in zip(pixels.shape, spec.size, strict=False)
        )
        pixels = pixels[top : top + spec.size[0], left : left + spec.size[1]]
    except UnreadableImageError:
        return None
    preprocessed = _to_image(spec, pixels)
    return ThumbnailPair(encode_thumbnail(name, view), encode_thumbnail(name, preprocessed))


def _to_image(spec: PixelSpec, pixels: ndarray) -> Image.Image:
    """Return stored pixels, [H, W, C], as an image: of many bands, the first three."""
    levels = np.rint(pixels * (255 / spec.values.levels)).astype(np.uint8)
    return Image.fromarray(levels[..., 0] if pixels.shape[2] < 3 else levels[..., :3])


def encode_thumbnail(name: str, image: Image.Image) -> Thumbnail:
    """Return an image reduced to SIDE pixels; a small one is kept without loss."""
    image = image.copy()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    format_name = "png" if max(image.size) <= LOSSLESS_SIDE else "webp"
    image.save(buffer, format_name, quality=QUALITY)
    return Thumbnail(name, buffer.getvalue(), format_name, *image.size)
