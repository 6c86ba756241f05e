"""`iddm import`: make a run of a model that another program trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.errors import UsageError
from iddm_cli.importing.options import ImportOptions
from iddm_cli.profiles.choices import ScheduleName
from iddm_cli.profiles.model_settings import ActivationName
from iddm_cli.runs.run import Run

if TYPE_CHECKING:
    from iddm_cli.importing.imported_model import ImportedModel

EXAMPLES = """\
[bold]Examples[/bold]

  iddm import ckpt_last.pt --class-names crazing,inclusion,patches --name steel

  iddm import ema_model_last.pt --image-size 64 --activation gelu

  iddm import cats-and-dogs                      a folder of diffusers

  iddm import first.safetensors                  an export of iddm
"""
MODEL = "Model"

SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A .pt file of IDDM, a folder of diffusers, or a safetensors file of iddm.",
        show_default=False,
        readable=False,  # reading tells; network file systems may deny it wrongly
    ),
]
ImportedNameOption = Annotated[
    str | None,
    options.option(
        "--name",
        help="Name of the run. (default: the source's name and the time)",
        panel=options.OUTPUT,
        metavar="NAME",
    ),
]
ClassNamesOption = Annotated[
    str | None,
    options.option(
        "--class-names",
        help="Class names, in the order of the labels. (default: 0, 1, ...)",
        panel=MODEL,
        metavar="NAME,NAME",
    ),
]
ImageSizeOption = Annotated[
    str | None,
    options.option(
        "--image-size",
        help="Image size in pixels: 64, or 64x96 (height x width).",
        panel=MODEL,
        metavar="N|HxW",
    ),
]
ActivationOption = Annotated[
    ActivationName | None,
    options.option(help="Activation function of the network. (default: gelu)", panel=MODEL),
]
ScheduleOption = Annotated[
    ScheduleName | None,
    options.option(help="Noise schedule. (default: linear)", panel=MODEL),
]


def import_(
    source: SourceArgument,
    name: ImportedNameOption = None,
    class_names: ClassNamesOption = None,
    image_size: ImageSizeOption = None,
    activation: ActivationOption = None,
    schedule: ScheduleOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Import a trained model as a run, to generate from it, export it or train it further."""
    from iddm_cli.workflows.importing import import_run

    names = None if class_names is None else parse_class_names_option(class_names)
    size = None if image_size is None else options.parse_size(image_size)
    import_options = ImportOptions(names, size, activation, schedule)
    run, model = import_run(
        source, import_options, runs_dir=runs_dir, name=name, overwrite=overwrite
    )
    print_import(run, model, json=json)


def parse_class_names_option(text: str) -> tuple[str, ...]:
    """Parse --class-names.

    Raises:
        UsageError: It is not a list of distinct names, separated by commas.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(name and name.isprintable() for name in names) or len(set(names)) < len(names):
        raise UsageError(
            f"--class-names {text}: not a list of distinct names",
            "Separate the names by commas: --class-names crazing,inclusion,patches",
        )
    return names


def print_import(run: Run, model: "ImportedModel", *, json: bool) -> None:
    """Print where the run is, and what was assumed about the model."""
    from iddm_cli.display import console

    parameters = sum(tensor.numel() for tensor in model.raw.values())
    if json:
        console.print_json(
            {
                "run": run.name,
                "path": str(run.path),
                "form": model.form,
                "classes": list(model.classes),
                "image_size": list(model.profile.data.size),
                "parameters": parameters,
                "notes": list(model.notes),
            }
        )
        return
    for note in model.notes:
        console.print_note(note)
    console.print_result(str(run.path))
    console.print_note(
        f"imported {run.name}: {parameters:,} parameters; generate with: iddm generate {run.name}; "
        f"train further with: iddm resume {run.name} --set data.path=FOLDER"
    )
