"""`iddm runs`: list the runs."""

from iddm_cli.commands import options


def runs(runs_dir: options.RunsDirOption = None, json: options.JsonOption = False) -> None:
    """List the runs, the most recently trained first."""
    from iddm_cli.display import console, tables
    from iddm_cli.runs.registry import check_runs_dir, list_runs, resolve_runs_dir, summarize_run

    folder = resolve_runs_dir(runs_dir)
    check_runs_dir(folder)
    found = [summarize_run(run) for run in list_runs(folder)]
    if json:
        console.print_json({"runs_dir": str(folder), "runs": found})
        return
    if not found:
        console.print_note(f"no runs in {folder} yet; train one with: iddm train")
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
