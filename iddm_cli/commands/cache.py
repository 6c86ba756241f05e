"""`iddm cache`: list and clear what datasets and evaluations take on disk."""

from typing import Annotated

import typer

from iddm_cli.commands import options

app = typer.Typer(
    help="List and clear what datasets and evaluations take on disk.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def cache(context: typer.Context, json: options.JsonOption = False) -> None:
    """List and clear what datasets and evaluations take on disk."""
    context.obj = json
    if context.invoked_subcommand is None:
        _print_cache(as_json=json)


@app.command("list")
def list_(context: typer.Context, json: options.JsonOption = False) -> None:
    """List the contents of the cache: decoded datasets, downloads, archives, evaluations."""
    _print_cache(as_json=json or context.obj)


@app.command("clear")
def clear(
    context: typer.Context,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY]...",
            help="Keys of the entries to remove, as listed. (default: all but downloads)",
        ),
    ] = None,
    older_than: Annotated[
        int | None,
        options.option(
            help="Remove only entries not used for this many days.",
            panel=options.BASICS,
            at_least=0,
        ),
    ] = None,
    downloads: Annotated[
        bool,
        options.option(
            "--downloads", help="Remove downloaded datasets as well.", panel=options.BASICS
        ),
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Remove decoded datasets and evaluations; they are made again when they are needed."""
    from iddm_cli.data.cache import remove_entries, select_entries
    from iddm_cli.display import console
    from iddm_cli.display.tables import format_amount

    selected = select_entries(keys or [], downloads=downloads, older_than=older_than)
    removed = remove_entries(selected)
    kept = [entry.key for entry in selected if entry not in removed]
    freed = sum(entry.bytes for entry in removed)
    if json or context.obj:
        console.print_json({"removed": [e.key for e in removed], "in_use": kept, "bytes": freed})
        return
    console.print_note(f"removed {len(removed)} cache entries, {format_amount(freed)}")
    for key in kept:
        console.print_warning(f"{key} was not removed: another process is writing it")


def _print_cache(*, as_json: bool) -> None:
    """Print the contents of the cache."""
    from iddm_cli.data.cache import cache_folder
    from iddm_cli.display import console, tables
    from iddm_cli.workflows.cache_listing import describe_cache

    rows = describe_cache()
    if as_json:
        console.print_json({"folder": str(cache_folder()), "entries": rows})
    elif not rows:
        console.print_note(f"the cache folder {cache_folder()} is empty")
    else:
        console.out.print(tables.cache_table(rows))
        total = tables.format_amount(sum(row["bytes"] for row in rows))
        console.print_note(f"{total} in {cache_folder()}; clear with: iddm cache clear")
