"""Plots: curves at their values, a description in words, and few points."""

import math
import re

import pytest

from iddm_cli.display.html.plots import (
    MOST_POINTS,
    IntervalRow,
    PlotLine,
    plot_intervals,
    plot_lines,
    thin_points,
)
from tests.display.pages import SCRIPT, Page


def read_path(figure: str) -> list[tuple[float, float]]:
    path = re.search(r'class="line c0 d0" d="M([^"]+)"', figure).group(1)
    return [tuple(map(float, place.split())) for place in path.split("L")]


def test_a_curve_goes_up_where_its_values_do():
    places = read_path(plot_lines("t", [PlotLine("a", [(0, 1), (1, 3), (2, 2)])]))
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert places[1][1] < places[2][1] < places[0][1]  # SVG counts downwards


def test_a_floor_is_in_the_plot_and_in_the_legend():
    figure = plot_lines("t", [PlotLine("a", [(0, 5), (1, 6)])], floor=1.0)
    level = float(re.search(r'class="line floor" d="M\S+ ([\d.]+)H', figure).group(1))
    assert max(y for _, y in read_path(figure)) < level < 250
    assert "floor: real images" in Page(figure).text


def test_a_logarithmic_axis_only_where_values_differ_much():
    def is_log(values):
        lines = [PlotLine("a", list(enumerate(values)))]
        return "Logarithmic" in plot_lines("t", lines, may_be_log=True)

    assert is_log([1, 0.001])
    assert not is_log([1, 0.5])
    assert not is_log([1, 0.0])


def test_plots_describe_themselves_and_escape_names():
    lines = [PlotLine(SCRIPT, [(1, 4), (2, 1), (3, 2)]), PlotLine("b", [(1, 4)], 9)]
    page = Page(plot_lines("<title>", lines))
    assert page.texts("aria-label") == [
        f"<title>. {SCRIPT}: 4 at step 1, 2 at 3; lowest 1 at 2. b: 4 at step 1."
    ]
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.texts("role") == ["img"]


def test_what_is_not_finite_is_left_out():
    points = [(0, math.nan), (1, 2.0), (2, math.inf)]
    assert thin_points(points) == [(1, 2.0)]
    assert plot_lines("t", [PlotLine("a", points[::2])]) == ""
    assert plot_intervals("t", [IntervalRow("a", math.nan)]) == ""


def test_many_points_become_few_with_the_same_mean():
    points = [(i, float(i % 7)) for i in range(70_000)]
    thin = thin_points(points)
    assert len(thin) == MOST_POINTS
    assert thin[-1][0] == 69_999
    assert sum(y for _, y in thin) / len(thin) == pytest.approx(3, abs=0.01)


def test_intervals_cover_their_value():
    rows = [IntervalRow("a", 0.5, 0.4, 0.7), IntervalRow("a name of many letters that is cut", 0.9)]
    figure = plot_intervals("t", rows, is_share=True, rule=("best", 0.6))
    low, high = map(
        float, re.search(r'interval c0 d0" d="M([\d.]+) \S+?H([\d.]+)"', figure).groups()
    )
    first, second = (float(x) for x in re.findall(r'cx="([\d.]+)"', figure))
    rule = float(re.search(r'class="line floor" d="M([\d.]+)', figure).group(1))
    assert low < first < rule < high < second
    page = Page(figure)
    assert "a name of many letters that…" in page.text
    assert "a: 50 percent, interval 40 to 70." in page.texts("aria-label")[0]
