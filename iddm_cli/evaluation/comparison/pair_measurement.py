"""Measuring: every number of a pair of samples, with its floor and its interval."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.evaluation.comparison.intervals import jackknife_interval, wilson_interval
from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS, Measure, QualityMetric
from iddm_cli.evaluation.comparison.replicates import keep_all, leave_out_groups, split_in_two
from iddm_cli.evaluation.comparison.samples import FeatureSample, SamplePair
from iddm_cli.evaluation.numbers import Number

SMALLEST_SHARE = 1 / 4
"""Share of the real images in the smaller of two parts for the floor, at least."""


def measure_pair(
    pair: SamplePair,
    keys: Iterable[str],
    *,
    intervals: bool = True,
    progress: ProgressCallback = no_progress,
) -> dict[str, Number]:
    """Return the numbers of a pair of samples for which there are enough images.

    Args:
        pair: The samples.
        keys: Keys of QUALITY_METRICS.
        intervals: Whether to compute 95 % intervals.
        progress: Called after every measurement.
    """
    count = min(len(pair.real), len(pair.generated))
    rows = {key: QUALITY_METRICS[key] for key in keys if count >= QUALITY_METRICS[key].smallest}
    measures = list(dict.fromkeys(row.measure for row in rows.values() if row.measure))
    numbers: dict[str, Number] = {}
    for done, measure in enumerate(measures, start=1):
        measured = {key: row for key, row in rows.items() if row.measure is measure}
        numbers |= _measure(measure, measured, pair, intervals=intervals)
        progress("comparing features", done, len(measures))
    return numbers


def _measure(
    measure: Measure, rows: Mapping[str, QualityMetric], pair: SamplePair, *, intervals: bool
) -> dict[str, Number]:
    """Return the numbers that one measurement gives."""
    first = next(iter(rows.values()))
    x, y = pair.joint if first.reads_codes else (pair.real, pair.generated)
    masks = [_replicates(sample, intervals=intervals) for sample in (x, y)]
    values = measure(x, y, *masks)
    floors = _measure_floors(measure, first, x, y)
    return {
        key: _build_number(
            row, values[key], None if floors is None else floors[key], min(len(x), len(y))
        )
        for key, row in rows.items()
    }


def _replicates(sample: FeatureSample, *, intervals: bool) -> Tensor:
    whole = keep_all(sample)
    return torch.cat([whole, leave_out_groups(sample)]) if intervals else whole


def _build_number(row: QualityMetric, values: Tensor, floors: Tensor | None, count: int) -> Number:
    """Return a number.

    Args:
        row: Its row.
        values: Its value, then those of the jackknife, if any, [R].
        floors: Its values for parts of the real images, [S].
        count: Number of images.
    """
    value = float(values[0].clamp(0.0, row.highest))
    floor = None if floors is None else float(floors.clamp(0.0, row.highest).mean())
    if len(values) == 1:
        return Number(value, floor, count=count)
    interval = jackknife_interval(float(values[0]), values[1:]).clamp(0.0, row.highest)
    if row.highest == 1:
        interval = interval.unite(wilson_interval(value, count))
    return Number(value, floor, interval.low, interval.high, count)


def _measure_floors(
    measure: Measure, row: QualityMetric, x: FeatureSample, y: FeatureSample
) -> Mapping[str, Tensor] | None:
    """Return what random parts of the real images score against the rest; None if they are too few.

    The parts are as different in size as the samples. They have fewer images, for which distances
    are larger: these are scaled to the counts of the samples.
    """
    enough = row.smallest // 2
    least = max(SMALLEST_SHARE, min(0.5, enough / len(x)))
    share = min(max(len(x) / (len(x) + len(y)), least), 1 - least)
    parts = split_in_two(x, share)
    if min(int(part.sum(dim=1).min()) for part in parts) < enough:
        return None
    values = measure(x, x, *parts)
    if not row.is_distance:
        return values
    whole = _size_term(x.weights) + _size_term(y.weights)
    scale = whole / sum(_size_term(x.weights * part) for part in parts)
    return {key: value * scale for key, value in values.items()}


def _size_term(weights: Tensor) -> Tensor:
    """Return 1 over the effective number of images (Kish 1965), [...]."""
    return weights.square().sum(dim=-1) / weights.sum(dim=-1).square()
