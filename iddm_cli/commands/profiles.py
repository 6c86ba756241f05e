"""`iddm profiles`: list, print and copy profiles, and print their schema and reference."""

from pathlib import Path
from typing import Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.errors import UsageError

app = typer.Typer(
    help="List, print and copy profiles: the YAML files that configure training.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE",
        help="Name or file of a profile.",
        autocompletion=options.complete_profile,
    ),
]


@app.callback()
def profiles(context: typer.Context) -> None:
    """List, print and copy profiles: the YAML files that configure training."""
    if context.invoked_subcommand is None:
        list_profiles()


@app.command("list")
def list_profiles(json: options.JsonOption = False) -> None:
    """List the available profiles."""
    from iddm_cli.display import console, tables
    from iddm_cli.profiles import loading

    found = loading.list_profiles()
    if json:
        entries = [
            {"name": e.name, "path": str(e.path), "origin": e.origin, "purpose": e.purpose}
            for e in found
        ]
        console.print_json({"profiles": entries})
        return
    rows = [(entry.name, entry.origin, entry.purpose) for entry in found]
    console.out.print(tables.column_table(("name", "origin", "purpose"), rows))


@app.command()
def show(
    profile: NameArgument, set_: options.SetOption = None, json: options.JsonOption = False
) -> None:
    """Print a profile, including all defaults."""
    from iddm_cli.display import console
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.overrides import collect_overrides
    from iddm_cli.profiles.writing import dump_profile

    loaded = load_profile(profile, collect_overrides({}, set_))
    if json:
        console.print_json(loaded.model_dump())
    else:
        console.print_result(dump_profile(loaded).rstrip("\n"))


@app.command()
def copy(
    profile: NameArgument,
    to: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="File or folder of the copy.", readable=False),
    ],
    overwrite: options.OverwriteOption = False,
) -> None:
    """Copy a profile with its comments, to start your own."""
    from iddm_cli import durable
    from iddm_cli.display import console
    from iddm_cli.profiles.loading import find_profile

    source = find_profile(profile)
    target = to
    try:
        target = to / source.name if to.is_dir() else to
        if target.exists() and not overwrite:
            raise UsageError(f"{target} already exists", "Choose another file, or --overwrite.")
        durable.write_file(target, source.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    console.print_result(str(target))


@app.command()
def schema() -> None:
    """Print the JSON schema of profiles, for editors.

    Save it, and start a profile with: # yaml-language-server: $schema=FILE
    """
    from iddm_cli.display import console
    from iddm_cli.profiles.writing import build_profile_schema

    console.print_json(build_profile_schema())


@app.command()
def reference() -> None:
    """Print the reference of all settings, with defaults and values, as Markdown."""
    from iddm_cli.display import console
    from iddm_cli.profiles.writing import render_reference

    console.print_result(render_reference())
