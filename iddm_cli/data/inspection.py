"""Inspection: what is in a dataset, and what should be known before training on it."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from PIL import Image, ImageChops

from iddm_cli import pictures
from iddm_cli.data.images import UnreadableImage, fit, flatten
from iddm_cli.data.index import Skip
from iddm_cli.data.packing import Progress, quiet
from iddm_cli.data.parallel import in_order
from iddm_cli.data.sources import Source

CHUNK = 8
FEW = 50
IMBALANCE = 10
COMMON_SIZES = 5
GREY_MODES = ("1", "L", "LA", "I", "F", "I;16", "I;16B")


@dataclass(frozen=True)
class Spread:
    """The smallest of some numbers, the middle one, and the largest."""

    smallest: int
    median: int
    largest: int


@dataclass(frozen=True)
class Inspection:
    """What was found when every picture of a dataset was decoded."""

    name: str
    count: int  # pictures that can be read; all below is about them
    classes: dict[str, int]
    width: Spread
    height: Spread
    shorter_side: Spread
    common_sizes: list[tuple[int, int, int]]  # width, height, how many; the commonest first
    not_square: int
    modes: dict[str, int]
    formats: dict[str, int]
    suffixes: dict[str, int]
    grey: int  # pictures without any colour, whatever they are stored as
    transparent: int
    duplicates: int  # pictures whose pixels an earlier one has as well
    total_bytes: int  # of the files as stored, unreadable ones too
    unreadable: list[Skip]
    skipped: list[Skip]
    advice: list[str]
    trainable: bool

    def to_json(self) -> dict[str, Any]:
        """Return all of it as numbers, strings, lists and dicts."""
        return asdict(self)


@dataclass(frozen=True)
class _Look:
    """What is kept of one picture after it was decoded."""

    item: int
    size: tuple[int, int]
    mode: str
    format: str
    suffix: str
    grey: bool
    transparent: bool
    digest: bytes


def inspect(source: Source, *, progress: Progress = quiet) -> Inspection:
    """Decode every picture of a dataset and sum up what was found."""
    looks: list[_Look] = []
    unreadable: list[Skip] = []
    workers = os.cpu_count() or 1
    results = in_order(lambda i: _look(source, i), len(source), workers=workers, chunk=CHUNK)
    with closing(results):
        for chunk in results:
            looks += [look for look in chunk if isinstance(look, _Look)]
            unreadable += [fault for fault in chunk if isinstance(fault, tuple)]
            progress(len(looks) + len(unreadable), len(source))
    found = _sum_up(source, looks, unreadable)
    return replace(found, advice=advise(found))


def _look(source: Source, i: int) -> _Look | Skip:
    """Decode one picture; its name and the reason where that cannot be done."""
    try:
        image = source.image(i)
        flat = flatten(image, "white")
    except UnreadableImage as error:
        return source.item_name(i), str(error)
    return _Look(
        item=i,
        size=image.size,
        mode=image.mode,
        format=image.format or "none",
        suffix=PurePosixPath(source.item_name(i)).suffix.lower() or "none",
        grey=_is_grey(flat),
        transparent=image.has_transparency_data,
        digest=hashlib.blake2b(image.tobytes(), digest_size=16).digest(),
    )


def _is_grey(image: Image.Image) -> bool:
    """Look whether all colours are grey, as often they are in files stored as colour."""
    if image.mode == "L":
        return True
    red, green, blue = image.split()
    differences = (ImageChops.difference(red, green), ImageChops.difference(red, blue))
    return all(difference.getbbox() is None for difference in differences)


def _sum_up(source: Source, looks: list[_Look], unreadable: list[Skip]) -> Inspection:
    sizes = Counter(look.size for look in looks)
    each_class = Counter(source.labels[look.item] for look in looks)
    pixels = {(look.size, look.mode, look.digest) for look in looks}
    return Inspection(
        name=source.name,
        count=len(looks),
        classes={name: each_class[label] for label, name in enumerate(source.classes)},
        width=_spread([look.size[0] for look in looks]),
        height=_spread([look.size[1] for look in looks]),
        shorter_side=_spread([min(look.size) for look in looks]),
        common_sizes=[(*size, count) for size, count in sizes.most_common(COMMON_SIZES)],
        not_square=sum(look.size[0] != look.size[1] for look in looks),
        modes=_counts([look.mode for look in looks]),
        formats=_counts([look.format for look in looks]),
        suffixes=_counts([look.suffix for look in looks]),
        grey=sum(look.grey for look in looks),
        transparent=sum(look.transparent for look in looks),
        duplicates=len(looks) - len(pixels),
        total_bytes=source.stored_bytes(),
        unreadable=unreadable,
        skipped=list(source.skipped),
        advice=[],
        trainable=bool(looks),
    )


def _spread(numbers: list[int]) -> Spread:
    ordered = sorted(numbers) or [0]
    return Spread(ordered[0], ordered[len(ordered) // 2], ordered[-1])


def _counts(words: list[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def advise(found: Inspection) -> list[str]:
    """Say in plain sentences what matters before training on this."""
    if not found.trainable:
        return ["No picture can be read: there is nothing to train on."]
    lines = [*_about_files(found), *_about_classes(found), *_about_pixels(found)]
    return [line for line in lines if line]


def _about_files(found: Inspection) -> list[str]:
    bad, again, other = len(found.unreadable), found.duplicates, len(found.skipped)
    return [
        f"Pictures that cannot be read, and will be left out: {bad}."
        if bad
        else "Every picture can be read.",
        f"Other entries passed over: {other}." if other else "",
        f"Pictures whose pixels another one has as well: {again}." if again else "",
    ]


def _about_classes(found: Inspection) -> list[str]:
    if not found.classes:
        return ["There are no classes: pictures will be drawn without choosing a kind."]
    least, most = (pick(found.classes, key=found.classes.__getitem__) for pick in (min, max))
    smallest, largest = found.classes[least], found.classes[most]
    few = sum(count < FEW for count in found.classes.values())
    return [
        f"Classes with fewer than {FEW} pictures: {few}, the smallest being {least} with "
        f"{smallest}; so few are rather memorised than learnt."
        if few
        else "",
        f"{most} has {largest} pictures and {least} {smallest}: the larger class is learnt better."
        if largest >= IMBALANCE * max(1, smallest)
        else "",
    ]


def _about_pixels(found: Inspection) -> list[str]:
    colour = found.count - sum(found.modes.get(mode, 0) for mode in GREY_MODES)
    side = found.shorter_side
    return [
        f"Every picture is grey{', though stored as colour' if colour else ''}: "
        "data.channels: 1 is enough, and faster."
        if found.grey == found.count
        else "",
        f"Half of the pictures have a shorter side of {side.median} pixels or less: a "
        f"data.image_size above {side.median} enlarges them."
        if side.median < side.largest
        else f"A data.image_size above {side.median} enlarges the pictures.",
        f"Pictures that are not square: {found.not_square}; data.aspect says what becomes of them."
        if found.not_square
        else "",
        f"Pictures with an alpha channel: {found.transparent}; data.background stands behind them."
        if found.transparent
        else "",
    ]


def contact_sheet(source: Source, *, per_class: int = 8, cell: int = 64) -> Image.Image:
    """Lay out the first readable pictures of each class in a row, or of the whole set in one."""
    names: Sequence[str] = source.classes or (source.name,)
    items: dict[int, list[Image.Image]] = {label: [] for label in range(len(names))}
    for i, label in enumerate(source.labels):
        if len(items[label]) < per_class:
            items[label] += _thumbnail(source, i, cell)
    return pictures.grid(list(zip(names, items.values(), strict=True)), cell=cell)


def _thumbnail(source: Source, i: int, cell: int) -> list[Image.Image]:
    """Return a picture no larger than a cell, or nothing where it cannot be decoded."""
    try:
        image = source.image(i)
        share = min(1, cell / max(image.size))
        size = max(1, round(image.height * share)), max(1, round(image.width * share))
        pixels = fit(image, size=size, channels=3, aspect="squash", background="white")
    except UnreadableImage:
        return []
    return [Image.fromarray(pixels)]
