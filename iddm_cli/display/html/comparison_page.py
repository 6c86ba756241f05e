"""The page of `iddm runs compare --out`: results, settings, curves over each other, and grids."""

from typing import Any

from iddm_cli.display.html.curve_plots import plot_comparison
from iddm_cli.display.html.grid_images import embed_grid
from iddm_cli.display.html.template import render_template
from iddm_cli.display.run_tables import result_rows, setting_rows
from iddm_cli.runs.run_comparison import RunComparison

GRID_BYTES = 3_000_000
"""Bytes of all grids together before they are encoded as text, which takes a third more."""


def render_comparison_page(comparison: RunComparison) -> str:
    """Return a self-contained HTML page."""
    runs = comparison.runs
    return render_template(
        "comparison.html.j2",
        labels=[record.label for record in runs],
        paths=[str(record.path) for record in runs],
        notes=comparison.notes,
        results=result_rows(runs),
        settings=setting_rows(comparison),
        plots=plot_comparison([(record.label, record.curves) for record in runs]),
        grids=_describe_grids(comparison),
        grids_note=comparison.grids.note,
    )


def _describe_grids(comparison: RunComparison) -> list[dict[str, Any]]:
    """Return label, step and image of each run's grid."""
    grids = comparison.grids.grids
    budget = GRID_BYTES / max(1, sum(grid is not None for grid in grids))
    return [
        {
            "label": record.label,
            "step": None if grid is None else grid[0],
            "image": None if grid is None else embed_grid(grid[1], budget),
        }
        for record, grid in zip(comparison.runs, grids, strict=True)
    ]
