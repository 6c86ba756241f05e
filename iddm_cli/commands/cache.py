"""`iddm cache`: what decoded datasets take on the disk, and clearing them."""

from typing import TYPE_CHECKING, Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.data.cache import CacheEntry

app = typer.Typer(
    help="List and clear what datasets take on the disk.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

KINDS = {"pack": "decoded pictures", "begun": "cut off", "download": "download", "archive": "tar"}


@app.callback()
def cache(context: typer.Context, json: options.JsonOption = False) -> None:
    """List and clear what datasets take on the disk."""
    context.obj = json
    if context.invoked_subcommand is None:
        show(as_json=json)


@app.command("list")
def list_(context: typer.Context, json: options.JsonOption = False) -> None:
    """List what is in the cache: decoded datasets, downloads, unpacked archives."""
    show(as_json=json or context.obj)


@app.command("clear")
def clear(
    context: typer.Context,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY]...", help="What to remove, as listed. (default: all but downloads)"
        ),
    ] = None,
    older_than: Annotated[
        int | None,
        options.option(
            help="Only what was not used for so many days.", panel=options.BASICS, at_least=0
        ),
    ] = None,
    downloads: Annotated[
        bool,
        options.option("--downloads", help="Remove downloaded sets as well.", panel=options.BASICS),
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Remove decoded datasets; they are made again when they are needed."""
    from iddm_cli.data import cache as store
    from iddm_cli.display import console
    from iddm_cli.display.tables import format_amount

    chosen = choose(store.list_entries(), keys or [], downloads=downloads)
    if older_than is not None:
        chosen = [entry for entry in chosen if entry.age_days() > older_than]
    gone = store.remove_entries(chosen)
    kept = [entry.key for entry in chosen if entry not in gone]
    freed = sum(entry.bytes for entry in gone)
    if json or context.obj:
        console.print_json({"removed": [e.key for e in gone], "in_use": kept, "bytes": freed})
        return
    console.print_note(f"removed {len(gone)} of the cache, {format_amount(freed)}")
    for key in kept:
        console.print_warning(f"{key} is being made by another process, and was left")


def choose(entries: "list[CacheEntry]", keys: list[str], *, downloads: bool) -> "list[CacheEntry]":
    """Return the entries asked for.

    Raises:
        UsageError: A key names none of them.
    """
    if not keys:
        return [entry for entry in entries if downloads or entry.kind != "download"]
    chosen = []
    for key in keys:
        named = [entry for entry in entries if entry.key == key or entry.path.name == key]
        if not named:
            raise UsageError(f"nothing in the cache is called {key}", "See: iddm cache")
        chosen += [entry for entry in named if entry not in chosen]
    return chosen


def show(*, as_json: bool) -> None:
    """Print what is in the cache."""
    from iddm_cli.data import cache as store
    from iddm_cli.data.packs.store import read_record
    from iddm_cli.display import console, tables

    rows = []
    for entry in store.list_entries():
        record = read_record(entry.path) if entry.kind == "pack" else None
        rows.append(
            {
                "key": entry.key,
                "kind": "damaged" if entry.kind == "pack" and not record else KINDS[entry.kind],
                "dataset": (record.place or record.source) if record else "",
                "pictures": record.count if record else None,
                "size": f"{record.width} x {record.height}" if record else None,
                "channels": record.channels if record else None,
                "bytes": entry.bytes,
                "days": round(entry.age_days(), 2),
                "path": str(entry.path),
            }
        )
    if as_json:
        console.print_json({"folder": str(store.cache_folder()), "entries": rows})
    elif not rows:
        console.print_note(f"nothing is in {store.cache_folder()}")
    else:
        console.out.print(tables.cache_table(rows))
        total = tables.format_amount(sum(int(str(row["bytes"])) for row in rows))
        console.print_note(f"{total} in {store.cache_folder()}; clear with: iddm cache clear")
