"""Several evaluations beside each other: one table, and a plot of the primary number."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from iddm_cli.display.html.evaluation_tables import describe_number
from iddm_cli.display.html.plots import IntervalRow, PlotLine, plot_intervals, plot_lines
from iddm_cli.display.measures import find_measure
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import Evaluation

AXES = {"step": "training step", "steps": "network calls", "guidance": "guidance", "eta": "eta"}
"""Settings that can be the horizontal axis of the plot, with their names there."""

MOST_INTERVALS = 40


def describe_overview(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return the table of all evaluations, and the plots of their primary number and of copies."""
    keys = list(dict.fromkeys(key for one in evaluations for key in list_numbers(one)))
    best = find_best(evaluations)
    return {
        "floors": [_find_floor(key, evaluations) for key in keys],
        "titles": [(find_measure(key).title, find_measure(key).better or "") for key in keys],
        "rows": [
            {
                "title": one.title,
                "count": len(one.generated),
                "cells": [_describe_cell(key, list_numbers(one)) for key in keys],
                "is_best": place == best,
            }
            for place, one in enumerate(evaluations)
        ],
        "plots": [plot for key in keys[:1] + keys[-1:] if (plot := plot_number(evaluations, key))],
    }


def _find_floor(key: str, evaluations: Sequence[Evaluation]) -> str:
    """Return the first known floor of a number, which most evaluations share."""
    cells = [_describe_cell(key, list_numbers(one)) for one in evaluations]
    return next((cell["floor"] for cell in cells if cell and cell["floor"]), "")


def _describe_cell(key: str, numbers: Mapping[str, Number]) -> dict[str, Any] | None:
    return describe_number(key, numbers[key]) if key in numbers else None


def list_numbers(evaluation: Evaluation) -> dict[str, Number]:
    """Return the numbers of an evaluation by their keys in --json, the primary one first."""
    copies = {} if evaluation.copies is None else {"copies": evaluation.copies.in_pixels}
    return {**evaluation.quality.numbers, **copies}


def find_best(evaluations: Sequence[Evaluation]) -> int:
    """Return the index of the evaluation whose primary number is best; 0 if none is known."""

    def sort_key(place: int) -> float:
        key, number = next(iter(evaluations[place].quality.numbers.items()), ("", Number(math.nan)))
        value = number.value if find_measure(key).better != "higher" else -number.value
        return value if math.isfinite(value) else math.inf

    return min(range(len(evaluations)), key=sort_key, default=0)


def plot_number(evaluations: Sequence[Evaluation], key: str) -> Markup:
    """Return a plot of one number: over a setting that varies, or a row for each evaluation."""
    measured = [(one, list_numbers(one)[key]) for one in evaluations if key in list_numbers(one)]
    measured = [(one, number) for one, number in measured if math.isfinite(number.value)]
    measure = find_measure(key)
    title = f"{measure.title[:1].upper()}{measure.title[1:]}"
    title += f" ({measure.better} is better)" if measure.better else ""
    floor = next((number.floor for _, number in measured if number.floor is not None), None)
    axis = choose_axis([one.settings for one, _ in measured])
    if axis is None:
        rows = [IntervalRow(one.title, n.value, n.low, n.high) for one, n in measured]
        rule = None if floor is None else ("floor: real images", floor)
        return plot_intervals(title, rows[:MOST_INTERVALS], is_share=measure.is_share, rule=rule)
    factor = 100 if measure.is_share else 1
    title += ", in percent" if measure.is_share else ""
    lines = _group_lines(measured, axis, factor)
    return plot_lines(
        title, lines, x_label=AXES[axis], floor=None if floor is None else floor * factor,
        may_be_log=not measure.is_share,
    )  # fmt: skip


def choose_axis(settings: Sequence[Mapping[str, object]]) -> str | None:
    """Return the numeric setting with the most different values; None if none varies."""
    counts = {
        key: len({one[key] for one in settings})
        for key in AXES
        if settings and all(_is_number(one.get(key)) for one in settings)
    }
    best = max(counts, key=lambda key: counts[key], default=None)
    return best if best is not None and counts[best] > 1 else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _group_lines(
    measured: Sequence[tuple[Evaluation, Number]], axis: str, factor: float
) -> list[PlotLine]:
    """Return a line for each combination of the other settings that vary."""
    settings = [one.settings for one, _ in measured]
    others = [
        key
        for key in dict.fromkeys(key for one in settings for key in one)
        if key != axis
        # A sampler without eta does not differ from others in it.
        and len({str(one.get(key)) for one in settings if key in one or key != "eta"}) > 1
    ]
    groups: dict[str, list[tuple[float, float]]] = {}
    for (_, number), one in zip(measured, settings, strict=True):
        name = ", ".join(f"{_name_setting(key)}{one[key]}" for key in others if key in one)
        groups.setdefault(name, []).append((float(str(one[axis])), number.value * factor))
    return [
        PlotLine(name or "generated images", sorted(points), colour, has_marks=True)
        for colour, (name, points) in enumerate(groups.items())
    ]


def _name_setting(key: str) -> str:
    return "" if key in ("sampler", "run") else f"{key} "
