"""Tables of an evaluation's page: its numbers, those of each class, and the confusion matrix."""

from collections.abc import Sequence
from typing import Any

from iddm_cli.display.html.evaluation_images import rank_worst
from iddm_cli.display.measures import (
    Measure,
    compare_with_floor,
    find_measure,
    format_interval,
    format_value,
)
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import CanonicalNumbers, Copies, Evaluation, Quality

CONFUSION_CLASSES = 50
CONFUSION_CELLS = 20_000
"""Number of cells in the confusion matrices of all evaluations of a page."""

COUNTED_CLASSES = 16
"""Up to this number of classes the cells of the confusion matrix hold counts."""

PAIRS_LISTED = 12
CLASS_ROWS = 1000
"""Number of rows in the class tables of all evaluations of a page."""


def describe_number(key: str, number: Number, title: str = "") -> dict[str, Any]:
    """Return a number with what it has to be read with, as values of the template."""
    measure = find_measure(key)
    share = measure.is_share
    return {
        "title": title or measure.title,
        "better": measure.better or "",
        "value": format_value(number.value, is_share=share),
        "interval": format_interval(number, is_share=share),
        "floor": "" if number.floor is None else format_value(number.floor, is_share=share),
        "count": "" if number.count is None else f"{number.count:,}",
        "reading": compare_with_floor(number, measure.better),
    }


def describe_quality(quality: Quality) -> list[dict[str, Any]]:
    """Return the rows of the table of numbers."""
    return [describe_number(key, number) for key, number in quality.numbers.items()]


def describe_copies(copies: Copies) -> list[dict[str, Any]]:
    """Return the rows of the table of copies."""
    return [
        describe_number("copies", copies.in_pixels, "by pixels"),
        describe_number("copies", copies.in_features, "by features"),
    ]


def describe_canonical(canonical: CanonicalNumbers) -> list[dict[str, Any]]:
    """Return the rows of the table of canonical numbers."""
    return [describe_number(key, number) for key, number in canonical.numbers.items()]


def describe_classes(evaluation: Evaluation, pages: int) -> dict[str, Any]:
    """Return the table of classes.

    Args:
        evaluation: The evaluation.
        pages: Number of evaluations that share the page.
    """
    classes = evaluation.quality.classes
    keys = list(dict.fromkeys(key for one in classes for key in one.numbers))
    most = max(20, CLASS_ROWS // pages)
    shown = classes if len(classes) <= most else rank_worst(classes)[:most]
    return {
        "titles": [find_measure(key).title for key in keys],
        "rows": [
            {
                "name": one.name,
                "real": one.real,
                "generated": one.generated,
                "cells": [_describe_cell(find_measure(k), one.numbers.get(k)) for k in keys],
            }
            for one in shown
        ],
        "left_out": len(classes) - len(shown),
    }


def _describe_cell(measure: Measure, number: Number | None) -> dict[str, Any]:
    if number is None:
        return {"value": "–", "notes": ["too few images"]}
    notes = [
        format_interval(number, is_share=measure.is_share),
        "" if number.floor is None else "floor "
        + format_value(number.floor, is_share=measure.is_share),
    ]  # fmt: skip
    value = format_value(number.value, is_share=measure.is_share)
    return {"value": value, "notes": [note for note in notes if note]}


def describe_confusion(
    counts: Sequence[Sequence[int]], names: Sequence[str], pages: int
) -> dict[str, Any] | None:
    """Return the confusion matrix, if it is readable, and the pairs confused most.

    Args:
        counts: Number of images by class asked for and class seen, K rows of K; or empty.
        names: The names of the classes.
        pages: Number of evaluations that share the page.
    """
    if not counts:
        return None
    size = len(counts)
    is_readable = size <= CONFUSION_CLASSES and size * size * pages <= CONFUSION_CELLS
    totals = [sum(row) for row in counts]
    return {
        "names": list(names[:size]),
        "matrix": _share_rows(counts, totals) if is_readable else [],
        "has_counts": size <= COUNTED_CLASSES,
        "size": size,
        "pairs": _list_confused(counts, names, totals),
    }


def _share_rows(
    counts: Sequence[Sequence[int]], totals: Sequence[int]
) -> list[list[tuple[int, float]]]:
    """Return the count and the share of its row of each cell."""
    return [
        [(count, round(count / max(1, total), 2)) for count in row]
        for row, total in zip(counts, totals, strict=True)
    ]


def _list_confused(
    counts: Sequence[Sequence[int]], names: Sequence[str], totals: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the pairs of different classes confused most, the largest share first."""
    cells = [
        (asked, seen, count)
        for asked, row in enumerate(counts)
        for seen, count in enumerate(row)
        if count and asked != seen
    ]
    cells.sort(key=lambda cell: (-cell[2] / totals[cell[0]], -cell[2], cell[:2]))
    return [
        {"asked": names[a], "seen": names[b], "count": n, "share": n / totals[a], "of": totals[a]}
        for a, b, n in cells[:PAIRS_LISTED]
    ]
