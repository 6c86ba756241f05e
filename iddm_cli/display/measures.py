"""Measured numbers as text: their titles, values, intervals, and how to read them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from iddm_cli.evaluation.numbers import Number

if TYPE_CHECKING:
    from iddm_cli.evaluation.results import Usefulness

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Measure:
    """How a number of a report is named and read.

    Attributes:
        title: What tables and plots call it.
        better: Which values are better; None where neither is.
        is_share: Whether it is a share between 0 and 1, shown in percent.
        summary: What it measures, in a sentence.
    """

    title: str
    better: Literal["lower", "higher"] | None
    is_share: bool
    summary: str


OTHER_MEASURES: dict[str, Measure] = {
    "copies": Measure(
        "Copies", "lower", is_share=True, summary="share of the generated images that are much "
        "closer to one training image than to the second-nearest",
    ),
    "fid": Measure(
        "FID", "lower", is_share=False, summary="Fréchet distance in the features of Inception",
    ),
    "inception_score": Measure(
        "Inception Score", "higher", is_share=False,
        summary="how sure and how varied the classes are that Inception sees",
    ),
    "psnr": Measure(
        "PSNR (dB)", "higher", is_share=False,
        summary="ratio of the range of values to the error against a reference, in decibels",
    ),
    "ssim": Measure(
        "SSIM", "higher", is_share=False,
        summary="how alike structures of 11 x 11 pixels are to those of a reference; 1 is equal",
    ),
}  # fmt: skip
"""Numbers that are not in QUALITY_METRICS, by their key in --json."""


def find_measure(key: str) -> Measure:
    """Return how a number is named and read; an unknown one is named by its key."""
    from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS

    if row := QUALITY_METRICS.get(key):
        return Measure(row.title, row.better, is_share=row.highest == 1, summary=row.summary)
    unknown = Measure(key.replace("_", " "), None, is_share=False, summary="")
    return OTHER_MEASURES.get(key, unknown)


def format_value(value: float | None, *, is_share: bool = False) -> str:
    """Return a value with three significant digits; a share in percent."""
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    if is_share:
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def format_interval(number: Number, *, is_share: bool = False) -> str:
    """Return the ends of a number's interval; "" without one."""
    if number.low is None or number.high is None:
        return ""
    low, high = (format_value(end, is_share=is_share) for end in (number.low, number.high))
    return f"{low} to {high}"


def compare_with_floor(number: Number, better: Literal["lower", "higher"] | None) -> str:
    """Return how far a number is from what real images reach; "" where that has no meaning."""
    value, floor = number.value, number.floor
    if floor is None or better is None or not (math.isfinite(value) and math.isfinite(floor)):
        return ""
    sign = 1 if better == "lower" else -1
    best_end = number.low if better == "lower" else number.high
    reached = value if best_end is None or not math.isfinite(best_end) else best_end
    if min(sign * value, sign * reached) <= sign * floor:
        return "like real images"
    if floor <= 0:
        return "above the floor" if better == "lower" else ""
    return f"{value / floor:.1f} times the floor" if sign > 0 else f"{value / floor:.0%} of real"


def describe_gain(usefulness: "Usefulness") -> str:
    """Return the gain in accuracy with its interval, and between which arms it is."""
    gain = usefulness.gain
    interval = ""
    if gain.low is not None and gain.high is not None:
        interval = f" (95% interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return (
        f"{100 * gain.value:+.1f} percentage points of accuracy{interval}, from the best arm "
        "without generated images to the best arm with them"
    )


def explain_choice(usefulness: "Usefulness") -> str:
    """Return how the two arms are chosen, and which are the best ones of the table."""
    return (
        "Both arms are chosen on other seeds and test images than they are compared on. Over all "
        f"of them, the best arm without is '{usefulness.best_without}', and the best with "
        f"'{usefulness.best_with}'; their difference says less, since they were chosen by it."
    )


def describe_limit(usefulness: "Usefulness") -> str:
    """Return for how many real images the result holds; "" where none were left out."""
    if not usefulness.is_limited:
        return ""
    return (
        f"This result is for {usefulness.real_per_class:,} real images of each class (of up to "
        f"{usefulness.real_available:,}): a model that was trained on all of them also brings what "
        "those left out would have brought. Whether it adds something to all of them shows without "
        "--real-per-class."
    )
