"""SVG plots: curves, and values with their intervals. Each describes itself to screen readers."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup

from iddm_cli.display.html.svg import Scale, build_element, build_scale, format_tick

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 10, 38
MOST_POINTS = 300
COLOURS = 8
"""Colours of series; further ones repeat them with another dash pattern."""

LOG_RATIO = 20
"""Positive values that differ by more are plotted on a logarithmic axis."""

ROW = 30
NAME_LETTERS = 28
LETTER = 6.7
"""Width of a letter of a name, on average."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class PlotLine:
    """A curve of a plot.

    Attributes:
        name: What the legend calls it.
        points: x and y of each point, x ascending.
        colour: Number of its colour.
        has_marks: Whether each point has a mark.
    """

    name: str
    points: Points
    colour: int = 0
    has_marks: bool = False

    @property
    def style(self) -> str:
        """Classes of its elements."""
        return f"c{self.colour % COLOURS} d{self.colour // COLOURS % 3}"


@dataclass(frozen=True)
class IntervalRow:
    """A value with its interval.

    Attributes:
        name: What it is.
        value: The value.
        low: Lower end of the interval, or None.
        high: Upper end, or None.
        colour: Number of its colour.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    colour: int = 0


def plot_lines(
    title: str,
    lines: Sequence[PlotLine],
    *,
    x_label: str = "step",
    floor: float | None = None,
    may_be_log: bool = False,
) -> Markup:
    """Return a figure with curves over each other; "" if there is no finite point.

    Args:
        title: Text above the plot.
        lines: The curves.
        x_label: Name of the x axis.
        floor: A value at which a dashed line is shown.
        may_be_log: Whether the y axis is logarithmic where the values differ much.
    """
    shown = [replace(line, points=thin_points(line.points)) for line in lines]
    shown = [line for line in shown if line.points]
    if not shown:
        return Markup("")
    values = [y for line in shown for _, y in line.points]
    values += [] if floor is None else [floor]
    is_log = may_be_log and min(values) > 0 and max(values) > LOG_RATIO * min(values)
    x = build_scale([x for line in shown for x, _ in line.points], LEFT, WIDTH - RIGHT)
    y = build_scale(values, HEIGHT - BOTTOM, TOP, is_log=is_log)
    parts = [_build_axes(x, y, x_label)]
    if floor is not None:
        parts.append(_build_rule(x, y, floor))
    parts += [_build_curve(line, x, y) for line in shown]
    scale_note = " Logarithmic vertical axis." if is_log else ""
    words = f"{title}.{scale_note} " + " ".join(describe_line(line, x_label) for line in shown)
    legend = [(line.name, line.style) for line in shown]
    legend += [] if floor is None else [("floor: real images", "floor")]
    return _build_figure(title, words, HEIGHT, parts, legend if len(legend) > 1 else ())


def thin_points(points: Points, most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """Return finite points, of many the mean of each of `most` equal groups."""
    finite = [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(finite) <= most:
        return finite
    bounds = [round(i * len(finite) / most) for i in range(most + 1)]
    groups = [finite[a:b] for a, b in itertools.pairwise(bounds)]
    return [(g[-1][0], sum(y for _, y in g) / len(g)) for g in groups]


def describe_line(line: PlotLine, x_label: str) -> str:
    """Return a sentence on a curve for readers that cannot see it."""
    (x0, y0), (x1, y1) = line.points[0], line.points[-1]
    x_low, low = min(line.points, key=lambda point: point[1])
    name = f"{line.name}: " if line.name else ""
    if len(line.points) == 1:
        return f"{name}{y0:.3g} at {x_label} {x0:g}."
    return f"{name}{y0:.3g} at {x_label} {x0:g}, {y1:.3g} at {x1:g}; lowest {low:.3g} at {x_low:g}."


def _build_axes(x: Scale, y: Scale, x_label: str) -> Markup:
    text = partial(build_element, "text", class_="tick")
    parts = []
    for value in y.ticks(5):
        at = y.position(value)
        parts.append(build_element("path", class_="grid", d=f"M{x.start:.1f} {at:.1f}H{x.end:.1f}"))
        parts.append(text(format_tick(value), x=x.start - 6, y=at + 4, text_anchor="end"))
    for value in x.ticks(5):
        at = x.position(value)
        parts.append(build_element("path", class_="grid", d=f"M{at:.1f} {y.start:.1f}v4"))
        parts.append(text(format_tick(value), x=at, y=y.start + 17, text_anchor="middle"))
    middle = (x.start + x.end) / 2
    parts.append(text(x_label, x=middle, y=y.start + 33, text_anchor="middle"))
    return Markup("").join(parts)


def _build_rule(x: Scale, y: Scale, value: float) -> Markup:
    at = y.position(value)
    return build_element("path", class_="line floor", d=f"M{x.start:.1f} {at:.1f}H{x.end:.1f}")


def _build_curve(line: PlotLine, x: Scale, y: Scale) -> Markup:
    places = [(x.position(a), y.position(b)) for a, b in line.points]
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
    parts = [build_element("path", class_=f"line {line.style}", d=f"M{path}")]
    if line.has_marks or len(places) == 1:
        mark = partial(build_element, "circle", class_=f"mark {line.style}", r=3.5)
        parts += [mark(cx=a, cy=b) for a, b in places]
    return Markup("").join(parts)


def plot_intervals(
    title: str,
    rows: Sequence[IntervalRow],
    *,
    is_share: bool = False,
    rule: tuple[str, float] | None = None,
) -> Markup:
    """Return a figure with a row for each value: a dot, and a bar over its interval.

    Args:
        title: Text above the plot.
        rows: The values.
        is_share: Whether they are shown in percent.
        rule: Name and value of a dashed line.
    """
    factor = 100.0 if is_share else 1.0
    shown = [row for row in rows if math.isfinite(row.value)]
    if not shown:
        return Markup("")
    ends = [v * factor for r in shown for v in (r.value, r.low, r.high) if v is not None]
    ends += [] if rule is None else [rule[1] * factor]
    letters = min(NAME_LETTERS, max(len(row.name) for row in shown))
    names = round(max(LEFT, LETTER * letters))
    x = build_scale([v for v in ends if math.isfinite(v)], names + 10, WIDTH - RIGHT)
    bottom = TOP + ROW * len(shown)
    parts = [_build_value_axis(x, bottom, "%" if is_share else "")]
    if rule is not None:
        at = x.position(rule[1] * factor)
        parts.append(build_element("path", class_="line floor", d=f"M{at:.1f} {TOP}V{bottom}"))
    middles = [TOP + ROW * (i + 0.5) for i in range(len(shown))]
    parts += [_build_row(r, names, x, m, factor) for r, m in zip(shown, middles, strict=True)]
    words = f"{title}. " + " ".join(_describe_row(row, factor, is_share) for row in shown)
    legend = () if rule is None else [(rule[0], "floor")]
    return _build_figure(title, words, bottom + 22, parts, legend)


def _build_value_axis(x: Scale, bottom: float, unit: str) -> Markup:
    parts = []
    for value in x.ticks(5):
        at = x.position(value)
        parts.append(build_element("path", class_="grid", d=f"M{at:.1f} {TOP}V{bottom}"))
        label = f"{format_tick(value)}{unit}"
        parts.append(
            build_element("text", label, class_="tick", x=at, y=bottom + 16, text_anchor="middle")
        )
    return Markup("").join(parts)


def _build_row(row: IntervalRow, names: int, x: Scale, middle: float, factor: float) -> Markup:
    style = PlotLine("", (), row.colour).style
    short = row.name if len(row.name) <= NAME_LETTERS else f"{row.name[: NAME_LETTERS - 1]}…"
    parts = [build_element("text", short, x=names, y=middle + 4, text_anchor="end")]
    if row.low is not None and row.high is not None:
        low, high = (x.position(end * factor) for end in (row.low, row.high))
        path = f"M{low:.1f} {middle}H{high:.1f}"
        parts.append(build_element("path", class_=f"interval {style}", d=path))
    at = x.position(row.value * factor)
    parts.append(build_element("circle", class_=f"mark {style}", cx=at, cy=middle, r=4.5))
    return Markup("").join(parts)


def _describe_row(row: IntervalRow, factor: float, is_share: bool) -> str:
    unit = " percent" if is_share else ""
    if row.low is None or row.high is None:
        return f"{row.name}: {row.value * factor:.3g}{unit}."
    ends = f"{row.low * factor:.3g} to {row.high * factor:.3g}"
    return f"{row.name}: {row.value * factor:.3g}{unit}, interval {ends}."


def _build_figure(
    title: str,
    words: str,
    height: float,
    parts: Sequence[Markup],
    legend: Sequence[tuple[str, str]],
) -> Markup:
    size = f"0 0 {WIDTH} {height:g}"
    plot = build_element("svg", *parts, class_="plot", viewBox=size, role="img", aria_label=words)
    entries = [
        build_element(
            "li", build_element("i", class_=f"swatch {style}"), build_element("span", name)
        )
        for name, style in legend
    ]
    return build_element(
        "figure",
        build_element("figcaption", title),
        plot,
        build_element("ul", *entries, class_="legend") if entries else "",
        class_="plotted",
    )
