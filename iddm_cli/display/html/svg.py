"""Parts of SVG plots: elements, scales and ticks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

TICK_STEPS = (1, 2, 5, 10)
LOG_TICKS = (1, 2, 5)


def build_element(tag: str, *children: str | Markup, **attributes: object) -> Markup:
    """Return an SVG element.

    Args:
        tag: Its name.
        children: Its content; text is escaped.
        attributes: Its attributes; numbers are rounded to a tenth, and underscores become dashes.
    """
    words = [
        f' {key.rstrip("_").replace("_", "-")}="{_format(v)}"' for key, v in attributes.items()
    ]
    content = Markup("").join(children)
    return Markup("<{0}{1}>{2}</{0}>").format(tag, Markup("".join(words)), content)


def _format(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(escape(value))


@dataclass(frozen=True)
class Scale:
    """A map from values to positions along one axis.

    Attributes:
        low: Smallest value.
        high: Largest value, above `low`.
        start: Position of the smallest value.
        end: Position of the largest value.
        is_log: Whether equal ratios take equal lengths; values are above 0 then.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def position(self, value: float) -> float:
        """Return the position of a value."""
        low, high, value = (
            (math.log(v) if self.is_log else v) for v in (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return up to `most` round values in the range."""
        return log_ticks(self.low, self.high, most) if self.is_log else ticks(
            self.low, self.high, most
        )  # fmt: skip


def build_scale(
    values: Sequence[float], start: float, end: float, *, is_log: bool = False
) -> Scale:
    """Return a scale that shows all values, and a range around a single one."""
    low, high = min(values), max(values)
    if is_log:
        return Scale(low / 1.05, high * 1.05, start, end, is_log=True)
    if low == high == 0:
        return Scale(-0.04, 1.0, start, end)
    margin = (high - low) * 0.04 or abs(high) * 0.1
    return Scale(low - margin, high + margin, start, end)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return up to `most` multiples of 1, 2 or 5 times a power of ten from low to high."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (*TICK_STEPS, 20) if _count(low, high, s * power) <= most)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, first + _count(low, high, step))]


def _count(low: float, high: float, step: float) -> int:
    return math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return 1, 2 and 5 times powers of ten from low to high; only powers if they are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [f * 10.0**p for p in powers for f in LOG_TICKS if low <= f * 10.0**p <= high]
    if len(every) <= most:
        return every if len(every) > 1 else ticks(low, high, most)
    tens = [10.0**p for p in powers if low <= 10.0**p <= high]
    return tens[:: -(-len(tens) // most)] if len(tens) > 1 else every[:: -(-len(every) // most)]


def format_tick(value: float) -> str:
    """Return the label of a tick."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
