"""`iddm runs`: which runs there are."""

from typing import TYPE_CHECKING

from iddm_cli.commands import options
from iddm_cli.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from iddm_cli.runs.run import Run


def runs(runs_dir: options.RunsDirOption = None, json: options.JsonOption = False) -> None:
    """List the runs, the one last trained first."""
    from iddm_cli.display import console, tables
    from iddm_cli.runs.registry import list_runs, resolve_runs_dir

    folder = resolve_runs_dir(runs_dir)
    check_folder(folder)
    found = [describe(run) for run in list_runs(folder)]
    if json:
        console.print_json({"runs_dir": str(folder), "runs": found})
        return
    if not found:
        console.print_note(f"no runs in {folder} yet; train one: iddm train")
        return
    titles = ("name", "state", "step", "device", "updated")
    rows = [
        (
            str(run["name"]),
            str(run.get("state", "")),
            f"{run.get('step', 0)}/{run.get('steps', '?')}" if run["state"] != "imported" else "",
            str(run.get("device", "")),
            str(run.get("updated", ""))[:16].replace("T", " "),
        )
        for run in found
    ]
    console.out.print(tables.column_table(titles, rows))


def check_folder(folder: "Path") -> None:
    """Refuse a runs dir that is none; one that is not there yet holds no runs.

    Raises:
        RunError: It is not a folder, or cannot be looked at.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is not a folder", "Choose another --runs-dir.")
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}", "Choose another --runs-dir.") from error


def describe(run: "Run") -> dict[str, object]:
    """Return what run.json says, with the state as it really is."""
    try:
        return {"name": run.name, **run.read_json("run.json"), "state": run.read_state()}
    except RunError:
        return {"name": run.name, "state": "damaged"}
