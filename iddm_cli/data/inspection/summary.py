"""Summary of a dataset scan: the inspection report, with its verdict and advice."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.formats.left_out import describe_left_out, group_reasons
from iddm_cli.data.inspection import histograms
from iddm_cli.data.inspection.advice import advise, verdict
from iddm_cli.data.inspection.duplicates import Groups
from iddm_cli.data.inspection.image_stats import GREY
from iddm_cli.data.inspection.preprocessing_preview import (
    compute_spread,
    preview_preprocessing,
)
from iddm_cli.data.inspection.report_data import (
    DuplicateGroup,
    Duplicates,
    ImageKinds,
    ImageSizes,
    Inspection,
    PixelStats,
    SkipReason,
)
from iddm_cli.data.inspection.scan import DatasetScan
from iddm_cli.data.inspection.set_values import report_values
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.profiles.settings import TrainingSettings

COMMON_SIZES = 5
EXAMPLES = 3
DEFAULT_BATCH_SIZE = TrainingSettings().batch_size


def summarize(
    scan: DatasetScan, *, profile: str = "", batch_size: int = DEFAULT_BATCH_SIZE
) -> Inspection:
    """Return the inspection report of a scan, which used the settings of the named profile."""
    source, stats = scan.source, scan.stats
    counts = np.bincount(scan.labels, minlength=len(source.classes)).tolist()
    classes = dict(zip(source.classes, counts, strict=False))
    inspection = Inspection(
        name=source.name,
        place=source.location,
        trainable=bool(len(stats)),
        verdict="",
        count=len(stats),
        total_bytes=source.stored_bytes(),
        classes=classes,
        shares={name: round(n / max(1, len(stats)), 4) for name, n in classes.items()},
        imbalance=_imbalance(classes),
        notes=list(source.notes),
        sizes=_sizes(stats),
        kinds=_kinds(scan),
        values=_pixel_stats(scan),
        constant=_find_constant(scan),
        unreadable=scan.unreadable,
        skipped=list(source.skipped),
        faults=_skip_reasons([*scan.unreadable, *source.skipped]),
        left_out=describe_left_out([*scan.unreadable, *source.skipped]),
        duplicates=_duplicates(scan, scan.equal, complete=True),
        near_duplicates=_duplicates(scan, scan.near.groups, complete=not scan.near.capped),
        treatment=preview_preprocessing(
            stats,
            scan.settings,
            scan.spec,
            profile=profile,
            batch_size=batch_size,
            training=scan.held_out.training,
        ),
        advice=[],
        value_range=report_values(scan.values, scan.settings.channels),
        problem=scan.values.problem,
        held_out=scan.held_out,
    )
    return _add_advice(inspection, scan)


def _add_advice(inspection: Inspection, scan: DatasetScan) -> Inspection:
    trainable, sentence = verdict(inspection, scan.settings)
    advice = advise(inspection, scan.settings)
    return replace(inspection, trainable=trainable, verdict=sentence, advice=advice)


def _imbalance(classes: dict[str, int]) -> float:
    filled = [count for count in classes.values() if count]
    return round(max(filled) / min(filled), 2) if filled else 1.0


def _sizes(stats: ndarray) -> ImageSizes:
    width, height = stats["width"].astype(np.int64), stats["height"].astype(np.int64)
    shorter = np.minimum(width, height)
    common = Counter(zip(width.tolist(), height.tolist(), strict=True)).most_common(COMMON_SIZES)
    return ImageSizes(
        width=compute_spread(width),
        height=compute_spread(height),
        shorter_side=compute_spread(shorter),
        common=[(*size, count) for size, count in common],
        not_square=int((width != height).sum()),
        shorter_sides=histograms.count_sizes(shorter),
        aspects=histograms.count_aspect_ratios(width / np.maximum(1, height)),
    )


def _kinds(scan: DatasetScan) -> ImageKinds:
    stats = scan.stats
    in_one_band = ~stats["ordinary"] & (stats["bands"] == 1)
    stored_grey = np.isin(stats["mode"], ["1", "L", "LA", "La"]) | in_one_band
    suffixes = (PurePosixPath(name).suffix.lower() for name in scan.names(range(len(stats))))
    return ImageKinds(
        modes=_count(stats["mode"].tolist()),
        formats=_count(name or "none" for name in stats["format"].tolist()),
        suffixes=_count(suffix or "none" for suffix in suffixes),
        grey=int(stats["grey"].sum()),
        grey_stored_as_colour=int((stats["grey"] & ~stored_grey).sum()),
        transparent=int(stats["transparent"].sum()),
        animated=int(stats["animated"].sum()),
        sixteen_bit=int(stats["deep"].sum()),
    )


def _count(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _pixel_stats(scan: DatasetScan) -> PixelStats:
    """Average over all pixels; after preprocessing all images have the same number of them."""
    all_ordinary = bool(scan.stats["ordinary"].all())
    if not (scan.spec.is_ordinary or (scan.spec.values.is_8_bit and all_ordinary)):
        return _band_stats(scan)
    grey = scan.spec.channels == 1
    planes = slice(GREY, GREY + 1) if grey else slice(0, GREY)
    mean, deviation = _average(scan.stats["mean"][:, planes], scan.stats["square"][:, planes])
    names = ["grey"] if grey else ["red", "green", "blue"]
    return PixelStats(names, mean, deviation)


def _band_stats(scan: DatasetScan) -> PixelStats:
    """Average over the images that have the bands trained, in the units of the files."""
    channels = scan.spec.channels
    rows = scan.stats[scan.stats["bands"] >= channels]
    mean, deviation = _average(rows["band_mean"][:, :channels], rows["band_square"][:, :channels])
    names = ["grey"] if channels == 1 else [f"band {i + 1}" for i in range(channels)]
    return PixelStats(names, mean, deviation, "in the units of the files")


def _average(means: ndarray, squares: ndarray) -> tuple[list[float], list[float]]:
    count = max(1, len(means))
    mean = means.sum(axis=0) / count
    deviation = np.sqrt(np.maximum(0, squares.sum(axis=0) / count - mean**2))
    return mean.round(3).tolist(), deviation.round(3).tolist()


def _find_constant(scan: DatasetScan) -> list[str]:
    """Return the images of one colour: exactly one, where a few values are all there are."""
    is_narrow = scan.values.plan is not None and not scan.values.plan.values.is_8_bit
    return scan.names(np.flatnonzero(scan.stats["single" if is_narrow else "constant"]))


def _skip_reasons(skipped: list[SkippedFile]) -> list[SkipReason]:
    groups = group_reasons(skipped).items()
    return [SkipReason(reason, len(names), names[:EXAMPLES]) for reason, names in groups]


def _duplicates(scan: DatasetScan, groups: Groups, *, complete: bool) -> Duplicates:
    ordered = scan.sort_groups(groups)
    named = [DuplicateGroup(scan.names(group), scan.classes(group)) for group in ordered]
    return Duplicates(
        count=sum(len(group) - 1 for group in groups),
        across_classes=sum(len(group.classes) > 1 for group in named),
        groups=named,
        complete=complete,
    )
