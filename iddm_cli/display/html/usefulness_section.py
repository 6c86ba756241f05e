"""The usefulness section of an evaluation's page: the verdict, the arms and their intervals."""

from typing import Any

from iddm_cli.display.html.plots import IntervalRow, plot_intervals
from iddm_cli.display.measures import (
    describe_gain,
    describe_limit,
    explain_choice,
    format_interval,
    format_value,
)
from iddm_cli.evaluation.results import ArmSummary, Usefulness

OPENINGS = {
    "helps": "Generated images help a classifier.",
    "does not help": "Generated images do not help a classifier.",
    "cannot tell": "The results leave open whether generated images help a classifier.",
}
REAL_COLOUR, GENERATED_COLOUR = 0, 1


def describe_usefulness(usefulness: Usefulness) -> dict[str, Any]:
    """Return the section as values of the template."""
    arms = usefulness.arms
    by_name = {arm.name: arm for arm in arms}
    best = by_name.get(usefulness.best_without)
    rule = None if best is None else (f"best without: {best.name}", best.accuracy.value)
    return {
        "verdict": usefulness.verdict,
        "sentence": f"{OPENINGS[usefulness.verdict]} The gain is "
        f"{describe_gain(usefulness)}.",
        "choice": explain_choice(usefulness),
        "limit": describe_limit(usefulness),
        "setting": _describe_setting(usefulness),
        "left_out": list(usefulness.left_out.items()),
        "plot": plot_intervals(
            "Accuracy on held-out real images", [_plot_arm(arm) for arm in arms],
            is_share=True, rule=rule,
        ),
        "arms": [_describe_arm(arm, usefulness) for arm in arms],
    }  # fmt: skip


def _describe_setting(usefulness: Usefulness) -> str:
    count = f"{usefulness.real_per_class:,} real images of each class"
    images = count if usefulness.is_limited else f"all real images (up to {count})"
    return (
        f"Classifiers were trained on {images}, {usefulness.seeds:,} times with different seeds, "
        f"and tested on {usefulness.tested_on:,} held-out real images."
    )


def _plot_arm(arm: ArmSummary) -> IntervalRow:
    colour = GENERATED_COLOUR if arm.generated else REAL_COLOUR
    number = arm.accuracy
    return IntervalRow(arm.name, number.value, number.low, number.high, colour)


def _describe_arm(arm: ArmSummary, usefulness: Usefulness) -> dict[str, Any]:
    return {
        "name": arm.name,
        "real": arm.real,
        "generated": arm.generated,
        "accuracy": format_value(arm.accuracy.value, is_share=True),
        "interval": format_interval(arm.accuracy, is_share=True),
        "by_seed": ", ".join(format_value(value, is_share=True) for value in arm.by_seed),
        "is_best": arm.name in (usefulness.best_with, usefulness.best_without),
    }
