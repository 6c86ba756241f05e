"""Thumbnails: a few small pictures of each class, of duplicates, and of what would be learnt.

They are decoded as everything is, in other processes with a limit of time, which also encode them
for the page that shows them.
"""

import io
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from iddm_cli.data.decoding.images import Picture, UnreadableImage
from iddm_cli.data.decoding.preprocess import Look
from iddm_cli.data.decoding.resize import flatten
from iddm_cli.data.decoding.workers import Workers
from iddm_cli.data.inspection.duplicates import Groups
from iddm_cli.data.inspection.preprocessing_preview import learnt_channels
from iddm_cli.data.inspection.scan import Survey
from iddm_cli.data.progress import ProgressCallback, no_progress

SIDE = 128
"""Longest side of a thumbnail, in pixels."""

LOSSLESS_SIDE = 48
QUALITY = 80
ALL_TOGETHER = 1000
"""Thumbnails of classes: 5 MB, or 19 where all is noise. Of many classes each shows fewer, and
past so many none."""

PER_CLASS = 10
GROUPS, PER_GROUP = 12, 6
PAIRS = 8
CHUNK = 4


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, encoded."""

    name: str
    content: bytes
    form: str  # png or webp
    width: int
    height: int

    def image(self) -> Image.Image:
        """Decode it; it was encoded here."""
        with Image.open(io.BytesIO(self.content)) as image:
            return image.convert("RGB")


@dataclass(frozen=True)
class Shot:
    """What another process makes of a picture."""

    small: Thumbnail
    learnt: Thumbnail


@dataclass(frozen=True)
class Album:
    """All thumbnails of a report.

    Attributes:
        classes: Of each class a few, evenly spread over it; one row where there are no classes.
        pairs: A few pictures, and what would be learnt of them.
        equal: Of the first groups of equal pictures.
        alike: Of the first groups of near duplicates.
    """

    classes: list[list[Thumbnail]]
    pairs: list[Shot]
    equal: list[list[Thumbnail]]
    alike: list[list[Thumbnail]]


def make_album(seen: Survey, *, progress: ProgressCallback = no_progress) -> Album:
    """Choose pictures of a survey, and make their thumbnails."""
    classes = choose(seen)
    pairs = _spread(range(len(seen.items)), PAIRS)
    equal, alike = (_first_groups(seen, groups) for groups in (seen.equal, seen.alike.groups))
    rows = sorted({*pairs, *(row for part in (classes, equal, alike) for g in part for row in g)})
    shots = dict(zip(rows, _take(seen, rows, progress), strict=True))

    def small(group: Iterable[int]) -> list[Thumbnail]:
        return [shot.small for row in group if (shot := shots[row])]

    return Album(
        classes=[small(group) for group in classes],
        pairs=[shot for row in pairs if (shot := shots[row])],
        equal=[small(group) for group in equal],
        alike=[small(group) for group in alike],
    )


def choose(seen: Survey) -> Groups:
    """Return rows of each class, evenly spread over it."""
    count = max(1, len(seen.source.classes))
    each = max(1, min(PER_CLASS, ALL_TOGETHER // count))
    groups: Groups = [[] for _ in range(count)]
    for row, label in enumerate(seen.labels.tolist()):
        groups[label].append(row)
    shown = enumerate(groups)
    return [_spread(group, each) if label < ALL_TOGETHER else [] for label, group in shown]


def _spread(rows: list[int] | range, count: int) -> list[int]:
    """Return so many of the rows, evenly spread."""
    if not rows:
        return []
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in places]


def _first_groups(seen: Survey, groups: Groups) -> Groups:
    return [group[:PER_GROUP] for group in seen.worst_first(groups)[:GROUPS]]


def _take(seen: Survey, rows: list[int], progress: ProgressCallback) -> list[Shot | None]:
    """Decode pictures; what was readable before and is not any more is None."""
    settings = seen.settings
    work = partial(_shoot, Look.of(settings, learnt_channels(seen.facts, settings)))
    items = [int(seen.items[row]) for row in rows]
    shots: list[Shot | None] = []
    with Workers(settings.workers, seconds=settings.timeout) as workers:
        named = ((seen.source.item_name(i), seen.source.picture(i)) for i in items)
        results = workers.in_order(work, named, chunk=CHUNK)
        with closing(results):
            for some in results:
                shots += [shot if isinstance(shot, Shot) else None for shot in some]
                progress("drawing thumbnails", len(shots), len(rows))
    return shots


def _shoot(look: Look, named: tuple[str, Picture]) -> Shot | None:
    name, picture = named
    try:
        flat = flatten(picture.open(SIDE).image, look.background)
    except UnreadableImage:
        return None
    pixels = look.fit(flat)
    learnt = Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels)
    return Shot(_encode(name, flat), _encode(name, learnt))


def _encode(name: str, image: Image.Image) -> Thumbnail:
    image = image.copy()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    form = "png" if max(image.size) <= LOSSLESS_SIDE else "webp"
    image.save(buffer, form, quality=QUALITY)
    return Thumbnail(name, buffer.getvalue(), form, *image.size)
