"""Tables of runs: the list of all, several beside each other, and the tuned samplers of one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from iddm_cli.display.tables import column_table
from iddm_cli.records.tuned_tables import TunedTable
from iddm_cli.runs.run_comparison import LossResult, RunComparison, RunRecord

NONE = "–"
LONGEST_SETTING = 60

Row = tuple[str, list[str]]


def tuning_table(tables: Sequence[TunedTable]) -> Table:
    """Return errors before and after tuning, for each number of calls (`iddm tune-sampler`)."""
    titles = ("calls", f"error of {tables[0].untuned}", "error tuned", "ratio")
    rows = [
        (
            str(table.calls),
            f"{table.untuned_error:.4f}",
            f"{table.error:.4f}",
            f"{table.error / table.untuned_error:.2f}" if table.untuned_error else NONE,
        )
        for table in tables
    ]
    return column_table(titles, rows)


def average_table(averages: Sequence[Mapping[str, Any]]) -> Table:
    """Return how well each average is that of its length (`iddm average`).

    Args:
        averages: Their records, see `AverageRecord`.
    """
    titles = ("weights", "step", "similarity", "EMAs combined")
    rows = [
        (
            str(one["name"]),
            str(one["step"]),
            f"{one['similarity']:.4f}",
            str(len(one["combined"])),
        )
        for one in averages
    ]
    return column_table(titles, rows)


def run_table(runs: Iterable[Mapping[str, object]]) -> Table:
    """Return the list of runs (`iddm runs`).

    Args:
        runs: What `summarize_run` returns of each.
    """
    titles = ("name", "state", "step", "device", "updated")
    rows = [
        (
            str(run["name"]),
            str(run.get("state", "")),
            f"{run.get('step', 0)}/{run.get('steps', '?')}" if run["state"] != "imported" else "",
            str(run.get("device", "")),
            str(run.get("updated", ""))[:16].replace("T", " "),
        )
        for run in runs
    ]
    return column_table(titles, rows)


def render_comparison(comparison: RunComparison) -> RenderableType:
    """Return the tables of a comparison, with a column for each run."""
    labels = [record.label for record in comparison.runs]
    parts: list[RenderableType] = [_build_table("", labels, result_rows(comparison.runs))]
    if comparison.settings:
        parts += ["", _build_table("settings that differ", labels, setting_rows(comparison))]
    else:
        parts += ["", Text("all settings are equal")]
    return Group(*parts)


def _build_table(title: str, labels: Sequence[str], rows: Iterable[Row]) -> Table:
    return column_table([title, *labels], [(name, *cells) for name, cells in rows])


def result_rows(records: Sequence[RunRecord]) -> list[Row]:
    """Return name and cells of each result; those that no run has are left out."""
    rows: list[Row] = [
        ("state", [record.state for record in records]),
        ("steps", [_format_steps(record) for record in records]),
        ("images seen", [_format_count(record.images_seen) for record in records]),
        ("training time", [format_seconds(record.seconds) for record in records]),
        ("images", [_format_count(record.dataset.get("count")) for record in records]),
        ("classes", [_format_count(record.classes) for record in records]),
    ]
    for key in dict.fromkeys(key for record in records for key in record.losses):
        results = [record.losses.get(key) for record in records]
        name = key.replace("_", " ").replace("held out", "held-out")
        rows.append((f"final {name}", [_format_last(one) for one in results]))
        if key != "loss":
            rows.append((f"best {name}", [_format_best(one) for one in results]))
    for key in dict.fromkeys(key for record in records for key in record.latest):
        latest = [record.latest.get(key) for record in records]
        rows.append((key.replace("_", " "), [_format_latest(one) for one in latest]))
    return [(name, cells) for name, cells in rows if set(cells) != {NONE}]


def _format_steps(record: RunRecord) -> str:
    if record.state == "imported":
        return NONE
    return f"{record.step:,}" if record.steps is None else f"{record.step:,} of {record.steps:,}"


def _format_count(count: object) -> str:
    return f"{count:,}" if isinstance(count, int) and not isinstance(count, bool) else NONE


def _format_last(result: LossResult | None) -> str:
    return NONE if result is None else f"{result.last:.4g}"


def _format_best(result: LossResult | None) -> str:
    return NONE if result is None else f"{result.best:.4g} at step {result.best_step:,}"


def _format_latest(point: tuple[int, float] | None) -> str:
    return NONE if point is None else f"{point[1]:.4g} at step {point[0]:,}"


def format_seconds(seconds: float | None) -> str:
    """Return a time in its two largest units: 1 h 02 min."""
    if seconds is None:
        return NONE
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 60:
        return f"{minutes} min {whole % 60:02} s"
    return f"{hours:,} h {minutes % 60:02} min"


def setting_rows(comparison: RunComparison) -> list[Row]:
    """Return key and values of each setting that differs, as a profile writes them."""
    return [
        (
            key,
            [
                format_setting(value) if key in record.settings else NONE
                for record, value in zip(comparison.runs, values, strict=True)
            ],
        )
        for key, values in comparison.settings.items()
    ]


def format_setting(value: object) -> str:
    """Return a setting as a profile writes it, a long one shortened in the middle."""
    text = value if isinstance(value, str) else json.dumps(value)
    half = LONGEST_SETTING // 2
    return text if len(text) <= LONGEST_SETTING else f"{text[:half]}…{text[-half:]}"
