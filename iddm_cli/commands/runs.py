"""`iddm runs`: list the runs, and compare some of them."""

from pathlib import Path
from typing import Annotated

import typer

from iddm_cli.commands import options

EXAMPLES = """\
[bold]Examples[/bold]

  iddm runs compare first second                       settings and results

  iddm runs compare first second --out compare.html    curves and grids, too
"""

app = typer.Typer(
    help="List the runs, the most recently trained first; compare some of them.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunsArgument = Annotated[
    list[str] | None,
    options.run_argument("Names or folders of two or more runs."),
]
OutOption = Annotated[
    Path | None,
    options.option(
        help="HTML page to write, with curves over each other and sample grids side by side.",
        panel=options.OUTPUT,
        metavar="FILE.html",
    ),
]


@app.callback()
def runs(
    context: typer.Context,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """List the runs, the most recently trained first; compare some of them."""
    context.obj = (runs_dir, json)
    if context.invoked_subcommand is None:
        _print_runs(runs_dir, as_json=json)


@app.command("compare", epilog=EXAMPLES)
def compare(
    context: typer.Context,
    names: RunsArgument = None,
    out: OutOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Compare runs: settings that differ, losses, evaluation numbers, curves and sample grids."""
    from iddm_cli.display import console
    from iddm_cli.display.run_tables import render_comparison
    from iddm_cli.runs.registry import check_runs_dir, resolve_runs_dir
    from iddm_cli.workflows import comparing, html_pages

    if out is not None:
        html_pages.check_page(out, overwrite=overwrite)
    outer_dir, outer_json = context.obj
    folder = resolve_runs_dir(runs_dir or outer_dir)
    check_runs_dir(folder)
    comparison = comparing.compare_runs(folder, names or [])
    if out is not None:
        from iddm_cli.display.html.comparison_page import render_comparison_page

        html_pages.write_page(out, render_comparison_page(comparison))
    if json or outer_json:
        console.print_json(comparison.to_json())
        return
    console.out.print(render_comparison(comparison))
    for note in comparison.notes:
        console.print_warning(note)
    if out is not None:
        console.print_result(str(out))
    else:
        console.print_note("curves and sample grids, as a page: --out FILE.html", style="dim")


def _print_runs(runs_dir: Path | None, *, as_json: bool) -> None:
    """Print the list of runs."""
    from iddm_cli.display import console
    from iddm_cli.display.run_tables import run_table
    from iddm_cli.runs.registry import check_runs_dir, list_runs, resolve_runs_dir, summarize_run

    folder = resolve_runs_dir(runs_dir)
    check_runs_dir(folder)
    found = [summarize_run(run) for run in list_runs(folder)]
    if as_json:
        console.print_json({"runs_dir": str(folder), "runs": found})
    elif not found:
        console.print_note(f"no runs in {folder} yet; train one with: iddm train")
    else:
        console.out.print(run_table(found))
