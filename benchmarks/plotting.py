"""Plots of curves over the number of network calls, both axes logarithmic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#555555", "#c8321e", "#e39b2d", "#8a5a2b", "#2a7d46", "#2f6fb5", "#163d73", "#b04fb5",
           "#6d2077", "#11999e", "#d4558a")  # fmt: skip
WIDE, HIGH, MARGIN, LEGEND = 640, 460, 64, 130

Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: What is drawn upwards.
        curves: The points of each curve, in ascending order of calls.
        calls: Where the axis of calls has lines, in ascending order.
        levels: Where the other axis has lines, in ascending order, with what is written there.
    """

    title: str
    curves: dict[str, list[Point]]
    calls: Sequence[int]
    levels: dict[float, str]


def draw(panels: Sequence[Panel]) -> Image.Image:
    """Return the plots side by side, with the names of the curves at the right."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    colours = dict(zip(names, COLOURS, strict=False))
    sheet = Image.new("RGB", (len(panels) * WIDE + LEGEND, HIGH), "white")
    for number, panel in enumerate(panels):
        sheet.paste(draw_panel(panel, colours), (number * WIDE, 0))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    left = len(panels) * WIDE
    for number, (name, colour) in enumerate(colours.items()):
        top = MARGIN + 24 * number
        pen.line((left, top + 8, left + 24, top + 8), colour, 3)
        pen.text((left + 30, top), name, "black", font)
    return sheet


def draw_panel(panel: Panel, colours: dict[str, str]) -> Image.Image:
    """Return one plot."""
    image = Image.new("RGB", (WIDE, HIGH), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    low, high = min(panel.levels), max(panel.levels)

    def place(calls: float, level: float) -> Point:
        across = math.log(calls / panel.calls[0]) / math.log(panel.calls[-1] / panel.calls[0])
        up = math.log(level / low) / math.log(high / low)
        return MARGIN + across * (WIDE - 1.5 * MARGIN), HIGH - MARGIN - up * (HIGH - 1.75 * MARGIN)

    pen.text((MARGIN, 10), panel.title, "black", ImageFont.load_default(16))
    for level, label in panel.levels.items():
        (left, y), right = place(panel.calls[0], level), place(panel.calls[-1], level)[0]
        pen.line((left, y, right, y), "#dddddd")
        pen.text((left - 8, y), label, "black", font, anchor="rm")
    for calls in panel.calls:
        x, y = place(calls, low)
        pen.line((x, y, x, place(calls, high)[1]), "#eeeeee")
        pen.text((x, y + 8), str(calls), "black", font, anchor="mt")
    pen.text((WIDE / 2, HIGH - 24), "network calls", "black", font, anchor="mt")
    for name, points in panel.curves.items():
        for ends in pairwise(place(*point) for point in points):
            pen.line([*ends[0], *ends[1]], colours[name], 3)
    return image
