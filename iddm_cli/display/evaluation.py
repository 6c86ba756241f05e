"""Evaluations as tables on the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from iddm_cli.display import console
from iddm_cli.display.console import escape_control
from iddm_cli.display.measures import (
    describe_gain,
    describe_limit,
    explain_choice,
    find_measure,
    format_interval,
    format_value,
)
from iddm_cli.display.tables import column_table

if TYPE_CHECKING:
    from iddm_cli.evaluation.numbers import Number
    from iddm_cli.evaluation.pair_fidelity import Fidelity
    from iddm_cli.evaluation.results import Evaluation, EvaluationSeries, Usefulness

ARROWS = {"lower": "↓", "higher": "↑", None: ""}
MOST_TITLE = 40
"""Characters of a column of a table that are never broken."""

WIDEST = 1000
NOT_MEASURED = "…"
"""Stands for the numbers of settings that Ctrl-C prevented."""

MOST_CLASSES = 100
"""Rows of the table of classes; --out and --json have all of them."""

CLASS_NUMBERS = ("mind", "kid", "precision", "recall", "coverage", "agreement")
OVERVIEW_NUMBERS = (
    "mind", "frechet", "kid", "precision", "recall", "density", "coverage", "agreement", "copies",
)  # fmt: skip


def print_evaluations(series: "EvaluationSeries") -> None:
    """Print tables of the results on stdout, and what to know of them on stderr."""
    console.print_note(describe_comparison(series.finished[0]))
    if series.has_several:
        print_table(overview_table(series))
    for evaluation in series.finished:
        _print_details(evaluation, several=series.has_several)
    shown = dict.fromkeys(text for one in series.finished for text in one.warnings)
    for warning in shown:
        console.print_warning(warning)


def _print_details(evaluation: "Evaluation", *, several: bool) -> None:
    """Print the tables of one evaluation; of several only what the overview does not show."""
    if not several:
        print_table(number_table(evaluation))
        if evaluation.quality.classes:
            console.out.print()
            print_table(class_table(evaluation))
    if evaluation.canonical is not None:
        console.out.print()
        print_table(canonical_table(evaluation))
    if evaluation.fidelity is not None:
        console.out.print()
        print_table(fidelity_table(evaluation.fidelity))
    if evaluation.usefulness is not None:
        console.out.print()
        if several:
            console.print_result(evaluation.title)
        print_table(arm_table(evaluation.usefulness))
        console.print_result(describe_usefulness(evaluation.usefulness))


def print_fidelities(
    name: str, results: "Sequence[tuple[str, Fidelity]]", warnings: Sequence[str]
) -> None:
    """Print how close images are to their references, and what to know of it on stderr.

    Args:
        name: What the images are called.
        results: Title and numbers of each way of making them; at least one.
        warnings: What to know of them, as sentences.
    """
    first = results[0][1]
    console.print_note(
        f"{first.count:,} images ({name}) compared with their references ({first.references})"
    )
    for title, fidelity in results:
        if title:
            console.print_result(title)
        print_table(fidelity_table(fidelity))
    for warning in warnings:
        console.print_warning(warning)


def fidelity_table(fidelity: "Fidelity") -> Table:
    """Return the mean of each number, and the image whose value is lowest."""
    rows = [
        (
            title_of(key),
            format_value(number.value),
            format_value(getattr(fidelity.lowest[key], key)),
            f"{number.count:,}",
            escape_control(fidelity.lowest[key].name),
        )
        for key, number in fidelity.numbers.items()
    ]
    table = _right_aligned(("against references", "mean", "lowest", "images", "lowest image"), rows)
    table.columns[-1].justify = "left"
    return table


def describe_comparison(evaluation: "Evaluation") -> str:
    """Return what was compared with what, and by which feature network."""
    features, generated, real = evaluation.features, evaluation.generated, evaluation.real
    height, width = real.pixels.shape[2:]
    tested = (
        f"; accuracy {features.accuracy:.1%} on {features.tested_on:,} others (guessing: "
        f"{features.chance:.1%})"
    )
    return (
        f"{len(generated):,} images ({generated.name}) compared with {len(real):,} real ones "
        f"({real.name}), {height} x {width} pixels\n"
        f"feature network: trained on {features.trained_on:,} images to tell {features.task} "
        f"apart{tested if features.tested_on else ', and not tested'}"
    )


def number_table(evaluation: "Evaluation") -> Table:
    """Return every number with its floor, its interval and its count."""
    rows = [
        (title_of(key), *_cells(key, number), "" if number.count is None else f"{number.count:,}")
        for key, number in _all_numbers(evaluation)
    ]
    titles = ("number", "value", "real images", "95 % interval", "images")
    return _right_aligned(titles, rows)


def _all_numbers(evaluation: "Evaluation") -> "Iterator[tuple[str, Number]]":
    yield from evaluation.quality.numbers.items()
    if evaluation.copies is not None:
        yield "copies", evaluation.copies.in_pixels
        yield "copies_in_features", evaluation.copies.in_features


def title_of(key: str) -> str:
    """Return the title of a number, with an arrow towards better values."""
    if key == "copies_in_features":
        return f"{find_measure('copies').title} in features {ARROWS['lower']}"
    measure = find_measure(key)
    return f"{measure.title} {ARROWS[measure.better]}".strip()


def _cells(key: str, number: "Number") -> tuple[str, str, str]:
    is_share = find_measure(key.removesuffix("_in_features")).is_share
    floor = "" if number.floor is None else format_value(number.floor, is_share=is_share)
    interval = format_interval(number, is_share=is_share)
    return format_value(number.value, is_share=is_share), floor, interval


def overview_table(series: "EvaluationSeries") -> Table:
    """Return one row for each evaluation; those that are missing have no numbers."""
    known = [dict(_all_numbers(evaluation)) for evaluation in series.finished]
    keys = [key for key in OVERVIEW_NUMBERS if any(key in numbers for numbers in known)]
    rows = [
        (one.title, *(_cells(key, numbers[key])[0] if key in numbers else "" for key in keys))
        for one, numbers in zip(series.finished, known, strict=True)
    ]
    rows += [(title, *(NOT_MEASURED for _ in keys)) for title in series.missing]
    return _right_aligned(("settings", *map(title_of, keys)), rows)


def class_table(evaluation: "Evaluation") -> Table:
    """Return the numbers of each class; of very many classes, those whose agreement is lowest."""
    classes = list(evaluation.quality.classes)
    if len(classes) > MOST_CLASSES:
        classes.sort(key=lambda one: _agreement(one.numbers))
    keys = [key for key in CLASS_NUMBERS if any(key in one.numbers for one in classes)]
    rows = [
        (
            one.name,
            f"{one.real:,}",
            f"{one.generated:,}",
            *(_cells(key, one.numbers[key])[0] if key in one.numbers else "" for key in keys),
        )
        for one in classes[:MOST_CLASSES]
    ]
    return _right_aligned(("class", "real", "generated", *map(title_of, keys)), rows)


def _agreement(numbers: "Mapping[str, Number]") -> float:
    number = numbers.get("agreement")
    return 1.0 if number is None else number.value


def canonical_table(evaluation: "Evaluation") -> Table:
    """Return the numbers in the features of Inception."""
    assert evaluation.canonical is not None, "they were measured"
    rows = [
        (title_of(key), _cells(key, number)[0])
        for key, number in evaluation.canonical.numbers.items()
    ]
    table = _right_aligned(("in the features of Inception", "value"), rows)
    table.caption = Text(escape_control(evaluation.canonical.description))
    table.caption_justify = "left"
    return table


def arm_table(usefulness: "Usefulness") -> Table:
    """Return what classifiers trained on each mixture of images achieved."""
    rows = [
        (
            arm.name,
            f"{arm.real:,}",
            f"{arm.generated:,}",
            format_value(arm.accuracy.value, is_share=True),
            format_interval(arm.accuracy, is_share=True),
        )
        for arm in usefulness.arms
    ]
    return _right_aligned(("trained on", "real", "generated", "accuracy", "95 % interval"), rows)


def describe_usefulness(usefulness: "Usefulness") -> str:
    """Return the verdict in a few sentences."""
    verdicts = {
        "helps": "the generated images help",
        "does not help": "the generated images do not help",
        "cannot tell": "this cannot tell whether the generated images help",
    }
    reasons = ", ".join(f"{count:,} ({why})" for why, count in usefulness.left_out.items())
    left_out = f"; left out by --filter: {reasons}" if reasons else ""
    lines = (
        f"{verdicts[usefulness.verdict]}: {describe_gain(usefulness)}; {usefulness.seeds} seeds, "
        f"{usefulness.tested_on:,} test images{left_out}",
        explain_choice(usefulness),
        describe_limit(usefulness),
    )
    return "\n".join(filter(None, lines))


def _right_aligned(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table whose first column is text, and the others numbers; no word is broken."""
    cells = list(rows)
    table = column_table(titles, cells)
    for i, (title, column) in enumerate(zip(titles, table.columns, strict=True)):
        words = [*title.split(), *(row[i] for row in cells)]
        column.min_width = min(MOST_TITLE, max(map(len, words), default=0))
        column.justify = "right" if i else "left"
    return table


def print_table(table: Table) -> None:
    """Print a table on stdout; one that is wider than the terminal is not squeezed into it."""
    options = console.out.options
    needed = Measurement.get(console.out, options.update(width=WIDEST), table).minimum
    console.out.print(table, width=max(options.max_width, needed))
