"""The page of `iddm evaluate --out`: every number with what it has to be read with, and images."""

from collections.abc import Mapping, Sequence
from typing import Any

from iddm_cli.data.inspection.advice import pluralize
from iddm_cli.display.dataset import describe_channels
from iddm_cli.display.html.curve_plots import plot_training
from iddm_cli.display.html.evaluation_images import build_examples, build_pairs
from iddm_cli.display.html.evaluation_overview import describe_overview, find_best, list_numbers
from iddm_cli.display.html.evaluation_tables import (
    describe_canonical,
    describe_classes,
    describe_confusion,
    describe_copies,
    describe_number,
    describe_quality,
)
from iddm_cli.display.html.fidelity_page import describe_fidelity
from iddm_cli.display.html.template import render_template
from iddm_cli.display.html.usefulness_section import describe_usefulness
from iddm_cli.display.measures import find_measure, format_value
from iddm_cli.evaluation.results import Evaluation, FeatureSummary
from iddm_cli.runs.curves import collect_curves

IMAGE_BYTES = 2_400_000
"""Bytes of all images together before they are encoded as text, which takes a third more."""

PAIRS_SHARE = 0.3
KEY_FIGURES = ("mind", "frechet", "agreement", "copies", "coverage", "kid")
FIGURES_SHOWN = 4


def render_evaluation_page(
    evaluations: Sequence[Evaluation], *, title: str, metrics: Sequence[Mapping[str, object]] = ()
) -> str:
    """Return a self-contained HTML page of up to about 5 MB.

    Args:
        evaluations: At least one evaluation; several are compared in one table.
        title: Heading of the page.
        metrics: Lines of the run's metrics.jsonl, whose curves are plotted; empty without.
    """
    best = find_best(evaluations)
    several = len(evaluations) > 1
    return render_template(
        "evaluation.html.j2",
        title=title,
        notes=_describe_comparison(evaluations[best]),
        warnings=_merge_warnings(evaluations),
        figures=_key_figures(evaluations, best),
        overview=describe_overview(evaluations) if several else None,
        evaluations=[
            _describe_evaluation(one, len(evaluations), is_open=place == best)
            for place, one in enumerate(evaluations)
        ],
        curves=plot_training(collect_curves(metrics)),
        measures=_list_measures(evaluations),
    )


def _describe_evaluation(evaluation: Evaluation, pages: int, *, is_open: bool) -> dict[str, Any]:
    """Return everything about one evaluation as values of the template."""
    budget = IMAGE_BYTES / pages
    pairs, spent = build_pairs(evaluation, budget * PAIRS_SHARE)
    copies, canonical, quality = evaluation.copies, evaluation.canonical, evaluation.quality
    counts = [] if quality.confusion is None else quality.confusion.tolist()
    return {
        "title": evaluation.title,
        "is_open": is_open,
        "settings": [(key.replace("_", " "), str(v)) for key, v in evaluation.settings.items()],
        "numbers": describe_quality(quality),
        "headline": _describe_headline(evaluation),
        "examples": build_examples(evaluation, budget - spent),
        "classes": describe_classes(evaluation, pages),
        "confusion": describe_confusion(counts, evaluation.generated.classes, pages),
        "copies": None if copies is None else {"rows": describe_copies(copies), "pairs": pairs},
        "canonical": None
        if canonical is None
        else {
            "rows": describe_canonical(canonical),
            "description": canonical.description,
            "warnings": canonical.warnings,
        },
        "fidelity": None if evaluation.fidelity is None else describe_fidelity(evaluation.fidelity),
        "usefulness": None
        if evaluation.usefulness is None
        else describe_usefulness(evaluation.usefulness),
    }


def _describe_headline(evaluation: Evaluation) -> str:
    numbers = list_numbers(evaluation)
    shown = [key for key in KEY_FIGURES if key in numbers][:3]
    rows = [describe_number(key, numbers[key]) for key in shown]
    return " · ".join(f"{row['title']} {row['value']}" for row in rows)


def _describe_comparison(evaluation: Evaluation) -> list[str]:
    """Return sentences on what was compared with what."""
    generated, real, training = evaluation.generated, evaluation.real, evaluation.training
    _, channels, height, width = generated.pixels.shape
    classes = f", {len(generated.classes):,} classes" if generated.classes else ", no classes"
    seed = evaluation.settings.get("seed")
    seeded = "" if seed is None else f" The seed of the generated images is {seed}."
    return [
        f"{pluralize(len(generated), 'generated image')} ({generated.name}) compared with "
        f"{pluralize(len(real), 'real image')} ({real.name}); "
        f"{pluralize(len(training), 'training image')} ({training.name}). "
        f"{width} × {height} pixels, {describe_channels(channels)}{classes}.{seeded}",
        _describe_features(evaluation.features),
    ]


def _describe_features(features: FeatureSummary) -> str:
    task = (
        "tells the classes apart"
        if features.task == "classes"
        else "tells by how much an image is rotated, since there are no classes"
    )
    trained = pluralize(features.trained_on, "image")
    if not features.tested_on:
        return f"Feature network: it {task}, trained on {trained}, and was not tested."
    accuracy = format_value(features.accuracy, is_share=True)
    tested = f"on {pluralize(features.tested_on, 'image')} that it was not trained on"
    chance = f"guessing reaches {format_value(features.chance, is_share=True)}"
    return (
        f"Feature network: it {task}, trained on {trained}. "
        f"Accuracy: {accuracy} {tested}; {chance}."
    )


def _merge_warnings(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return each warning once; one that only some evaluations have names them."""
    sources: dict[str, list[str]] = {}
    for one in evaluations:
        for warning in dict.fromkeys(one.warnings):
            sources.setdefault(warning, []).append(one.title)
    return [
        warning if len(titles) == len(evaluations) else f"{', '.join(titles)}: {warning}"
        for warning, titles in sources.items()
    ]


def _key_figures(evaluations: Sequence[Evaluation], best: int) -> list[tuple[str, str, str]]:
    """Return the figures at the top: value, name, how to read it."""
    evaluation = evaluations[best]
    numbers = list_numbers(evaluation)
    shown = [key for key in KEY_FIGURES if key in numbers][:FIGURES_SHOWN]
    figures = [_describe_figure(describe_number(key, numbers[key])) for key in shown]
    usefulness = evaluation.usefulness
    if usefulness is not None:
        gain = f"{100 * usefulness.gain.value:+.1f} points"
        figures.append((gain, "for a classifier", usefulness.verdict))
    if len(evaluations) > 1:
        figures.insert(0, (f"{len(evaluations):,}", "evaluations", f"best: {evaluation.title}"))
    return figures


def _describe_figure(row: dict[str, Any]) -> tuple[str, str, str]:
    floor = f"floor {row['floor']}" if row["floor"] else ""
    detail = row["reading"] or (f"{row['better']} is better" if row["better"] else "")
    return row["value"], row["title"], ", ".join(part for part in (detail, floor) if part)


def _list_measures(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Return title and explanation of each number on the page."""
    canonical = (key for one in evaluations if one.canonical for key in one.canonical.numbers)
    compared = (key for one in evaluations if one.fidelity for key in one.fidelity.numbers)
    numbers = (key for one in evaluations for key in list_numbers(one))
    keys = dict.fromkeys([*numbers, *canonical, *compared])
    found = [find_measure(key) for key in keys]
    return [
        (
            one.title,
            f"{one.summary[:1].upper()}{one.summary[1:]}. {one.better.capitalize()} is better.",
        )
        for one in found
        if one.summary and one.better
    ]
