"""The table of the plan of a training (`iddm train --dry-run`)."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from iddm_cli.display.tables import format_amount, key_value_table

PART_NAMES = {
    "steps": "steps",
    "sample_grids": "sample grids",
    "checkpoints": "checkpoints",
    "held_out_loss": "held-out loss",
    "evaluations": "evaluations",
}

SHOWN_SHARE = 0.01
"""Share of the time from which a part is named."""


def plan_table(plan: dict[str, Any], dataset_rows: Iterable[tuple[str, str]]) -> Table:
    """Return the plan of a training.

    Args:
        plan: The plan, as --json prints it.
        dataset_rows: Names and values about the dataset.
    """
    processes = f"{plan['processes']} processes on " if plan["processes"] > 1 else ""
    rows = [
        ("data", plan["data"]),
        *dataset_rows,
        ("held-out loss", _describe_loss(plan["held_out_loss"])),
        ("parameters", format_amount(plan["parameters"], ("", "k", "M", "G"))),
        ("steps", f"{plan['steps']} ({plan['epochs']:.1f} epochs)"),
        ("device", f"{processes}{plan['device']}, {plan['precision']}"),
        *_iter_time_rows(plan["time"]),
        (
            "memory",
            f"about {format_amount(plan['memory_bytes'])} while training ({plan['memory']}), "
            f"{format_amount(plan['free_memory_bytes'])} free now",
        ),
        ("disk", f"{format_amount(plan['checkpoint_bytes'])} for each checkpoint"),
    ]
    return key_value_table(rows)


def _describe_loss(loss: dict[str, Any] | None) -> str:
    if loss is None:
        return "not computed"
    return (
        f"every {loss['every']:,} steps on {loss['images']} images, {loss['evaluations']} times; "
        f"{loss['share']:.1%} of the time"
    )


def _iter_time_rows(time: dict[str, Any] | None) -> Iterable[tuple[str, str]]:
    if time is None:
        yield "time", "not measured: the memory for it is not free now"
        return
    parts = ", ".join(
        f"{PART_NAMES[name]} {format_duration(seconds)}"
        for name, seconds in time["parts"].items()
        if seconds > SHOWN_SHARE * time["total_seconds"]
    )
    yield "a step", f"{format_duration(time['step_seconds'])}, by {time['timed_steps']} steps"
    yield "time", f"about {format_duration(time['total_seconds'])} in all: {parts}"
    first = [f"checkpoint after {format_duration(time['first_checkpoint_seconds'])}"]
    if time["first_grid_seconds"] is not None:
        first.insert(0, f"sample grid after {format_duration(time['first_grid_seconds'])}")
    yield "first", ", ".join(first)
    for note in time["notes"]:
        yield "", note


def format_duration(seconds: float) -> str:
    """Return a duration with two or three significant digits: 350 ms, 4.2 s, 17 min, 3 h 20 min."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 99.5:
        return f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(hours + minutes / 60), 24)
    return f"{days} days {hours} h" if hours else f"{days} days"
