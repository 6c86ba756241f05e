"""The values of a whole dataset: their range, bands and histograms, as training will see them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.bands import describe_other_bands
from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.inspection.report_data import HistogramBar, ValueHistogram, ValueReport
from iddm_cli.data.progress import ProgressCallback
from iddm_cli.data.sources.source import Source
from iddm_cli.data.values.band_choice import fits_channels, select_groups
from iddm_cli.data.values.range_choice import merge_tables
from iddm_cli.data.values.survey import Survey, survey_values
from iddm_cli.data.values.value_plan import ValuePlan, ordinary_range, plan_values
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import ValueRange, format_value

BARS = 10
PER_MILLE = 1000


@dataclass(frozen=True)
class SetValues:
    """What values a dataset has, and how these are trained on.

    Attributes:
        spec: The pixels that training stores.
        plan: The plan of values; None for ordinary images of 8 bits.
        survey: What the plan follows from; None likewise.
        problem: Why there is no plan; "" if there is one, or none is needed.
    """

    spec: PixelSpec
    plan: ValuePlan | None = None
    survey: Survey | None = None
    problem: str = ""


def find_values(
    source: Source, settings: DataSettings, stats: ndarray, progress: ProgressCallback
) -> SetValues:
    """Return the values of a dataset; other than ordinary ones are surveyed.

    Args:
        source: The dataset.
        settings: How training would preprocess its images.
        stats: STATS_DTYPE of each image, [N].
        progress: Called with what is done, how much of it, and of how much.
    """
    channels = _ordinary_channels(stats, settings)
    ordinary = PixelSpec.from_settings(settings, channels, ordinary_range(channels))
    if not needs_survey(stats, settings):
        return SetValues(ordinary)
    survey = survey_values(source, settings, source.fingerprint(progress), progress)
    try:
        plan = plan_values(survey, settings)
    except DatasetError as error:
        return SetValues(ordinary, survey=survey, problem=f"{error.problem}. {error.hint}")
    spec = PixelSpec.from_settings(settings, plan.channels, plan.values)
    return SetValues(spec, plan, survey)


def find_rejected(
    stats: ndarray, values: SetValues, settings: DataSettings
) -> Iterator[tuple[int, str]]:
    """Yield the rows of images that training skips for their values or bands, and the reasons."""
    if values.plan is None:
        return
    channels = values.plan.channels
    for row, (bands, ordinary, irreducible) in enumerate(
        zip(stats["bands"], stats["ordinary"], stats["irreducible"], strict=True)
    ):
        if not fits_channels(int(bands), channels, settings.channels, photograph=bool(ordinary)):
            yield row, describe_other_bands(int(bands), channels)
        elif values.spec.is_ordinary and irreducible and bands <= channels:
            yield row, str(irreducible)


def needs_survey(stats: ndarray, settings: DataSettings) -> bool:
    """Return whether images have deeper values, or may be labels, or a range is set."""
    if not len(stats):
        return False
    if settings.value_range == "auto":
        return bool(not stats["ordinary"].all() or stats["labels"].all())
    return bool(not stats["ordinary"].all() or settings.value_range != [0, 255])


def _ordinary_channels(stats: ndarray, settings: DataSettings) -> int:
    """Return the number of channels trained; `auto` is 1 if every image is grey."""
    if settings.channels != "auto":
        return settings.channels
    return 1 if len(stats) and stats["grey"].all() else 3


def report_values(values: SetValues, wanted: int | str) -> ValueReport | None:
    """Return what the report says of the values; None for ordinary images of 8 bits.

    Args:
        values: The values.
        wanted: The setting data.channels.
    """
    if values.plan is None or values.survey is None:
        return None
    plan = values.plan
    return ValueReport(
        dtype=plan.values.dtype,
        low=list(plan.values.low),
        high=list(plan.values.high),
        channels=plan.channels,
        clipped=round(plan.clipped, 6),
        range=plan.values.describe(),
        notes=list(plan.notes),
        histograms=_compute_histograms(values.survey, plan, wanted),
    )


def _compute_histograms(survey: Survey, plan: ValuePlan, wanted: int | str) -> list[ValueHistogram]:
    """Return a histogram over the range: of all channels, or of each where ranges differ."""
    if plan.values.is_8_bit:
        return []
    tables = merge_tables(select_groups(survey, plan.channels, wanted), plan.channels)
    several = len(tables) > 1
    return [
        ValueHistogram(f"band {i + 1}" if several else "", _count(table, plan.values, i))
        for i, table in enumerate(tables)
    ]


def _count(table: ndarray, values: ValueRange, band: int) -> list[HistogramBar]:
    """Return how many of 1,000 values lie in each tenth of the range, from a table of quantiles."""
    i = band if len(values.low) > 1 else 0
    low, high = values.low[i], values.high[i]
    if values.dtype == "uint8" and high - low < BARS:  # a bar for each label
        found = np.rint(table).astype(int)
        return [
            HistogramBar(f"{v}", int(np.rint((found == v).mean() * PER_MILLE)))
            for v in range(int(low), int(high) + 1)
        ]
    edges = np.linspace(low, high, BARS + 1)
    counts, _ = np.histogram(np.clip(table, edges[0], edges[-1]), edges)
    counts = np.rint(counts * (PER_MILLE / len(table))).astype(int)
    labels = [
        f"{format_value(_round(low, edges))} to {format_value(_round(high, edges))}"
        for low, high in pairwise(edges)
    ]
    return [HistogramBar(label, int(n)) for label, n in zip(labels, counts, strict=True)]


def _round(edge: float, edges: ndarray) -> float:
    """Return an edge as a whole number where the range is wide."""
    return float(np.rint(edge)) if edges[-1] - edges[0] >= 10 * BARS else float(edge)
