"""SVG parts: escaping, scales that keep order, and round ticks."""

import math

import pytest

from iddm_cli.display.html.svg import (
    Scale,
    build_element,
    build_scale,
    format_tick,
    log_ticks,
    ticks,
)


def test_text_and_attributes_are_escaped():
    element = build_element("text", "<b>&", class_='a"b', stroke_width=1.25)
    assert element == '<text class="a&#34;b" stroke-width="1.2">&lt;b&gt;&amp;</text>'


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]), (0.011, 0.029, [0.015, 0.02, 0.025]), (-3, 3, [-2, 0, 2]),
        (0, 1e6, [0, 2e5, 4e5, 6e5, 8e5, 1e6]), (99.9, 100.1, [99.9, 99.95, 100, 100.05, 100.1]),
    ],
)  # fmt: skip
def test_ticks_are_round_and_inside(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("low", [1e-12, 0.3, 7, 1e9])
@pytest.mark.parametrize("width", [1e-9, 0.1, 1, 13, 1e5])
def test_ticks_are_few_and_never_none(low, width):
    found = ticks(low, low + width * low)
    assert 1 <= len(found) <= 6
    assert all(low * (1 - 1e-6) <= tick <= low * (1 + width + 1e-6) for tick in found)
    assert 1 <= len(log_ticks(low, low * (1 + width))) <= 6


def test_a_logarithmic_scale_gives_equal_ratios_equal_lengths():
    scale = Scale(1, 100, 0, 200, is_log=True)
    assert [scale.position(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])
    assert log_ticks(0.5, 2000, 6) == pytest.approx([1, 10, 100, 1000])


def test_a_single_value_has_a_scale():
    for value in (5.0, -2.0):
        scale = build_scale([value], 0, 100)
        assert scale.position(value) == pytest.approx(50)
    zero = build_scale([0.0, 0.0], 0, 100)
    assert 0 < zero.position(0.0) < 10, "rates of 0 have no negative values below them"
    assert min(zero.ticks(5)) >= 0
    assert math.isfinite(build_scale([3.0, 3.0], 0, 1, is_log=True).position(3.0))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.1 + 0.2, "0.3"), (1500, "1,500"), (2.5e6, "2.5M"), (1e-5, "1e-05"), (0, "0"), (-3, "-3")],
)
def test_labels_of_ticks(value, expected):
    assert format_tick(value) == expected
