"""Options that several commands share, spelled once."""

from pathlib import Path
from typing import Annotated

import typer

BASICS, LENGTH, OUTPUT, COMPUTING = "Basics", "Length", "Output", "Computing"


def complete_run(incomplete: str) -> list[str]:
    """Offer the names of runs to the shell."""
    from iddm_cli.runs import list_runs, runs_folder

    names = (run.name for run in list_runs(runs_folder(None)))
    return [name for name in names if name.startswith(incomplete)]


def complete_profile(incomplete: str) -> list[str]:
    """Offer the names of profiles to the shell."""
    from iddm_cli.profile import list_profiles

    names = (entry.name for entry in list_profiles())
    return [name for name in names if name.startswith(incomplete)]


RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="A run's name, or its folder; left out: the run last trained.",
        show_default=False,
        autocompletion=complete_run,
    ),
]
RunsDirOption = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        help="Folder that holds the runs. (default: $IDDM_RUNS_DIR, else ./runs)",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change any setting, such as training.lr=1e-4; may be repeated.",
        show_default=False,
        rich_help_panel=BASICS,
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Passes over the dataset.", show_default=False, rich_help_panel=LENGTH
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Updates, in place of epochs.", show_default=False, rich_help_panel=LENGTH
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:1 or mps.",
        show_default=False,
        rich_help_panel=COMPUTING,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace what stands under that name.", rich_help_panel=OUTPUT
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document instead of text.", rich_help_panel=OUTPUT),
]
