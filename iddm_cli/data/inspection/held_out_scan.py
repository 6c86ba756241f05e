"""Inspection of the held-out images: how many there will be, of which classes, and leaks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy import ndarray

from iddm_cli.data.packs.held_out import (
    NO_CLASSES,
    NO_IMAGES,
    NOTHING_HELD_OUT,
    OTHER_CLASSES,
    SHARE,
    HeldOutFacts,
    HeldOutReport,
    choose_held_out,
    describe_small_classes,
    find_equal,
    match_labels,
)
from iddm_cli.data.packs.store import ImageDigests
from iddm_cli.data.sources.source import HeldOutPart, Source
from iddm_cli.profiles.settings import DataSettings

MeasureFn = Callable[[Source], tuple[ndarray, dict[int, str]]]
"""Returns STATS_DTYPE of each image of a source, and by its index why an image has none."""


def scan_held_out(
    source: Source, settings: DataSettings, stats: ndarray, labels: ndarray, measure: MeasureFn
) -> HeldOutReport:
    """Return which images training would hold out; for the rule see `packs.held_out`.

    Args:
        source: The dataset.
        settings: The profile's data section.
        stats: STATS_DTYPE of each readable image of the training part, [N].
        labels: Class of each, int64 [N].
        measure: Decodes the images of the dataset's own part.
    """
    conditional = bool(source.classes) and settings.conditional is not False
    classes = source.classes if conditional else ()
    labels = labels * conditional
    if settings.held_out == 0 or not len(stats):
        return HeldOutReport(NOTHING_HELD_OUT, len(stats))
    part = source.held_out
    found = _scan_part(part, classes, stats, labels, measure) if part else ""
    if isinstance(found, HeldOutReport):
        return found
    report = _scan_share(classes, stats, labels, settings.held_out)
    if part is None:
        return report
    notes = (f"{part.name} is not used: {found}", *report.facts.notes)
    return replace(report, facts=replace(report.facts, notes=notes))


def _scan_share(
    classes: tuple[str, ...], stats: ndarray, labels: ndarray, share: float
) -> HeldOutReport:
    held_out = choose_held_out(_read_digests(stats), labels, share)
    sizes = np.bincount(labels, minlength=len(classes)).tolist() if classes else []
    counts = _count(labels[held_out], classes)
    kept = int(held_out.sum())
    facts = HeldOutFacts(SHARE, notes=describe_small_classes(sizes, len(stats)))
    return HeldOutReport(facts, len(stats) - kept, kept, counts)


def _scan_part(
    part: HeldOutPart,
    classes: tuple[str, ...],
    stats: ndarray,
    labels: ndarray,
    measure: MeasureFn,
) -> HeldOutReport | str:
    """Return the report on the dataset's own part, or why training would not use it."""
    if classes and not part.source.classes:
        return NO_CLASSES
    measured, reasons = measure(part.source)
    items = [i for i in range(len(measured)) if i not in reasons]
    if not items:
        return NO_IMAGES
    found = np.asarray(part.source.labels, np.int64)[items]
    trained = [name if n else "" for name, n in _count(labels, classes).items()]
    matched = match_labels(found, part.source.classes, trained)
    rows = matched >= 0
    if not rows.any():
        return OTHER_CLASSES
    kept = measured[items][rows]
    equal = find_equal(_read_digests(kept).pixels, _read_digests(stats).pixels)
    unknown, repeated = int((~rows).sum()), int(equal.sum())
    facts = HeldOutFacts(part.name, unknown=unknown, repeated=repeated)
    counts = _count(matched[rows], classes)
    return HeldOutReport(facts, len(stats), len(kept), counts, len(reasons))


def _count(labels: ndarray, classes: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=False))


def _read_digests(stats: ndarray) -> ImageDigests:
    """Return the digests of measured images; those of whole pixels in place of stored ones."""
    content, pixels = (
        np.ascontiguousarray(stats[name]).view(np.uint8).reshape(-1, 16)
        for name in ("content", "digest")
    )
    return ImageDigests(content, pixels)
