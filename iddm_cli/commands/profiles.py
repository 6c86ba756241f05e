"""`iddm profiles`: list, show and copy profiles, and the schema that editors check them with."""

from pathlib import Path
from typing import Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.errors import UsageError

app = typer.Typer(
    help="List, show and copy profiles: the YAML files that say how to train.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE", help="A name or a file.", autocompletion=options.complete_profile
    ),
]


@app.callback()
def profiles(context: typer.Context) -> None:
    """List, show and copy profiles: the YAML files that say how to train."""
    if context.invoked_subcommand is None:
        list_them()


@app.command("list")
def list_them(json: options.JsonOption = False) -> None:
    """List the profiles that can be named."""
    from iddm_cli.display import console, tables
    from iddm_cli.profiles.loading import list_profiles

    found = list_profiles()
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
    """Print a profile with every default written out."""
    from iddm_cli.display import console
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.overrides import parse_override
    from iddm_cli.profiles.writing import dump_profile

    loaded = load_profile(profile, [parse_override(text) for text in set_ or []])
    if json:
        console.print_json(loaded.model_dump())
    else:
        console.print_result(dump_profile(loaded).rstrip("\n"))


@app.command()
def copy(
    profile: NameArgument,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    overwrite: options.OverwriteOption = False,
) -> None:
    """Copy a profile, comments and all, to start your own from."""
    from iddm_cli import durable
    from iddm_cli.display import console
    from iddm_cli.profiles.loading import find_profile

    source = find_profile(profile)
    target = to
    try:
        target = to / source.name if to.is_dir() else to
        if target.exists() and not overwrite:
            raise UsageError(f"{target} exists already", "Choose another file, or --overwrite.")
        durable.write_file(target, source.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    console.print_result(str(target))


@app.command()
def schema() -> None:
    """Print the JSON schema of a profile, for editors.

    Save it, and begin a profile with: # yaml-language-server: $schema=FILE
    """
    from iddm_cli.display import console
    from iddm_cli.profiles.writing import profile_schema

    console.print_json(profile_schema())


@app.command()
def reference() -> None:
    """Print what every setting does, its default and its values, as Markdown."""
    from iddm_cli.display import console
    from iddm_cli.profiles.writing import reference_markdown

    console.print_result(reference_markdown())
