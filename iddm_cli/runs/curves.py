"""Curves of a training: the numbers of metrics.jsonl by their names."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

NOT_CURVES = ("step", "epoch", "seconds", "skipped")
"""Numbers of each line that count, and measure nothing."""

BAND = re.compile(r"_band_(\d+)$")
"""End of the name of a loss in one band of noise; band 1 has the least noise."""

ADVERSARIAL = ("adversarial_loss", "discriminator_loss", "adaptive_weight")
"""Numbers of a game of two networks: neither loss says how good its network is."""

Curve = list[tuple[int, float]]


def collect_curves(rows: Iterable[Mapping[str, object]]) -> dict[str, Curve]:
    """Return the curve of each number: step and value of each line that has it.

    Tables inside a line have dotted names; what is not a finite number is left out.
    """
    curves: dict[str, Curve] = {}
    for row in rows:
        step = row.get("step")
        if not isinstance(step, int) or isinstance(step, bool):
            continue
        for key, value in _iter_numbers(row):
            if key not in NOT_CURVES:
                curves.setdefault(key, []).append((step, value))
    return {key: sorted(curve) for key, curve in curves.items()}


def _iter_numbers(row: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        if isinstance(value, Mapping) and not prefix.count("."):
            yield from _iter_numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            number = _to_float(value)
            if math.isfinite(number):
                yield f"{prefix}{key}", number


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def is_loss(key: str) -> bool:
    """Return whether a curve is a loss, which all are plotted over each other."""
    return "loss" in key.split(".")[0].split("_") and key not in ADVERSARIAL


def is_band(key: str) -> bool:
    """Return whether a curve is the part of a loss in one band of noise."""
    return BAND.search(key) is not None


def sum_seconds(rows: Sequence[Mapping[str, object]]) -> float | None:
    """Return the training time of all processes of a run; each counts its seconds from 0."""
    total = last = 0.0
    found = False
    for row in rows:
        seconds = row.get("seconds")
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            now = _to_float(seconds)
            if math.isfinite(now) and now >= 0:
                total += last if now < last else 0.0
                last, found = now, True
    return total + last if found else None
