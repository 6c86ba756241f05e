"""`iddm export`: a trained run in files that other programs read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iddm_cli.commands import generate, options
from iddm_cli.errors import RunError, UsageError

if TYPE_CHECKING:
    from iddm_cli.export.model import TrainedModel

app = typer.Typer(
    help="Put a trained run into files that other programs read.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export diffusers                          the run last trained

  iddm export diffusers first --out steel --guidance 2
"""

FolderOption = Annotated[
    Path | None,
    options.option(
        "--out", help="The folder. (default: RUN-diffusers)", panel=options.OUTPUT, metavar="FOLDER"
    ),
]


@app.command("diffusers", epilog=EXAMPLES)
def diffusers(
    run: options.RunArgument = None,
    sampler: generate.SamplerOption = None,
    steps: generate.StepsOption = None,
    guidance: generate.GuidanceOption = None,
    checkpoint: generate.CheckpointOption = "last",
    weights: generate.WeightsOption = None,
    out: FolderOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write a folder that diffusers loads: UNet2DModel, scheduler, pipeline, model card."""
    from iddm_cli.display import console
    from iddm_cli.runs import open_run, runs_folder

    opened = open_run(runs_folder(runs_dir), run)
    given = generate.given_sampling(sampler, steps, guidance, weights)
    profile = generate.load_sampling(opened, given)
    classes = generate.class_names(opened)
    step = generate.parse_checkpoint(checkpoint)
    folder = out or Path(f"{opened.name}-diffusers")
    check_folder(folder, overwrite=overwrite)
    saved = generate.choose_checkpoint(opened, step)

    from iddm_cli import build
    from iddm_cli.export.diffusers import files

    model = build.load_model(opened, profile, classes, saved)
    write(folder, files(model))
    if json:
        console.document(describe(model, "diffusers", folder))
    else:
        console.result(str(folder))
        console.note(f"step {model.step} of {model.run}; how to use it is in {folder}/README.md")


MARK = "model_index.json"
"""What shows that a folder is such an export, and may be replaced."""


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        UsageError: There is something, or the folder cannot be made.
    """
    from iddm_cli.runs import check_writable

    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            check_writable(folder.absolute().parent)
            return
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror}", "Choose another --out.") from error
    if not overwrite:
        raise UsageError(
            f"--out {folder} is there already",
            "Choose another --out, or --overwrite to replace it.",
        )
    if not (folder / MARK).is_file():
        raise UsageError(
            f"--out {folder} is no export, so --overwrite leaves it alone", "Choose another --out."
        )


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write an export, all of it or nothing.

    Raises:
        RunError: It cannot be written.
    """
    from iddm_cli import durable

    inner = sorted({Path(name).parts[0] for name in files if "/" in name})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        durable.write_folder(folder, files.items(), inner, replace=True)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error.strerror}", "Nothing of it was left behind."
        ) from error


def describe(model: "TrainedModel", form: str, path: Path) -> dict[str, object]:
    """Return what --json prints."""
    return {
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "format": form,
        "path": str(path),
        "classes": list(model.classes),
    }
