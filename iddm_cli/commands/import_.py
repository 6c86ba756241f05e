"""`iddm import`: make a run of a model that another program has trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from iddm_cli import __version__
from iddm_cli.commands import options
from iddm_cli.errors import UsageError
from iddm_cli.runs.run import Run, encode_json, stamp_manifest

if TYPE_CHECKING:
    from iddm_cli.importing.imported_model import ImportedModel

EXAMPLES = """\
[bold]Examples[/bold]

  iddm import ckpt_last.pt --class-names crazing,inclusion,patches --name steel

  iddm import ema_model_last.pt --image-size 64 --activation gelu

  iddm import cats-and-dogs                      a folder of diffusers

  iddm import first.safetensors                  what iddm export has made
"""
WHAT = "What the file does not say"

SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A .pt file of IDDM, a folder of diffusers, or a safetensors file of iddm.",
        show_default=False,
    ),
]
ImportedNameOption = Annotated[
    str | None,
    options.option(
        "--name",
        help="Name of the run. (default: the source's and time)",
        panel=options.OUTPUT,
        metavar="NAME",
    ),
]
ClassNamesOption = Annotated[
    str | None,
    options.option(
        "--class-names",
        help="Names of the classes, in the order of their indices. (default: 0, 1, ...)",
        panel=WHAT,
        metavar="NAME,NAME",
    ),
]
ImageSizeOption = Annotated[
    str | None,
    options.option(
        "--image-size",
        help="Size of its pictures, in pixels: 64, or 64x96 (height x width).",
        panel=WHAT,
        metavar="N|HxW",
    ),
]
ActivationOption = Annotated[
    Literal["gelu", "silu", "relu", "relu6", "lrelu"] | None,
    options.option(help="The network's non-linearity. (default: gelu)", panel=WHAT),
]
ScheduleOption = Annotated[
    Literal["linear", "cosine", "sqrt_linear"] | None,
    options.option(help="How noise grew with time. (default: linear)", panel=WHAT),
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
    """Make a run of a trained model: draw from it, export it, train it further."""
    from iddm_cli.commands.options import parse_size
    from iddm_cli.importing.files import detect_format
    from iddm_cli.runs.registry import (
        check_name_free,
        check_run_name,
        check_runs_dir_writable,
        resolve_runs_dir,
    )

    folder = resolve_runs_dir(runs_dir)
    names = None if class_names is None else parse_names(class_names)
    size = None if image_size is None else parse_size(image_size)
    check_runs_dir_writable(folder)
    if name is not None:
        check_run_name(name)
    if name is not None and not overwrite:
        check_name_free(folder, name)
    detect_format(source)

    from iddm_cli.build.importing import import_model
    from iddm_cli.importing.imported_model import ImportOptions

    model = import_model(source, ImportOptions(names, size, activation, schedule))
    tell(make_run(folder, name, source, model, overwrite=overwrite), model, as_json=json)


def parse_names(text: str) -> tuple[str, ...]:
    """Read --class-names.

    Raises:
        UsageError: They are not different names with commas between them.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(name and name.isprintable() for name in names) or len(set(names)) < len(names):
        raise UsageError(
            f"--class-names {text}: no list of different names",
            "Write them with commas between: --class-names crazing,inclusion,patches",
        )
    return names


def make_run(
    folder: Path, name: str | None, source: Path, model: "ImportedModel", *, overwrite: bool
) -> Run:
    """Write the run, all of it or nothing.

    Raises:
        RunError: The name is taken, or it cannot be written.
    """
    from iddm_cli.build.importing import imported_files
    from iddm_cli.checkpoints.checkpoint import folder_name
    from iddm_cli.runs import registry

    place = f"checkpoints/{folder_name(0)}"
    large = ((f"{place}/{file}", content) for file, content in imported_files(model))
    name = name or registry.make_run_name(folder, source.resolve().stem)
    files = first_files(source, model)
    return registry.create_run(
        folder, name, files, folders=[place], large=large, overwrite=overwrite
    )


def first_files(source: Path, model: "ImportedModel") -> dict[str, bytes]:
    """Return the run's small files."""
    import torch

    from iddm_cli.profiles.writing import dump_profile

    data = model.profile.data
    manifest = {
        "iddm": __version__,
        "torch": torch.__version__,
        "source": {"form": model.form, "file": source.resolve().name, "notes": list(model.notes)},
        "step": 0,
    }
    return {
        "profile.yaml": dump_profile(model.profile).encode(),
        "dataset.json": encode_json(
            {
                "path": None,
                "digest": None,
                "classes": dict.fromkeys(model.classes),
                "channels": data.channels,
                "height": data.size[0],
                "width": data.size[1],
            }
        ),
        "run.json": encode_json(stamp_manifest(manifest, state="imported")),
    }


def tell(run: Run, model: "ImportedModel", *, as_json: bool) -> None:
    """Say what was made, and what had to be assumed."""
    from iddm_cli.display import console

    parameters = sum(tensor.numel() for tensor in model.raw.values())
    if as_json:
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
        f"imported {run.name}: {parameters:,} parameters; draw with: iddm generate {run.name}; "
        f"train further with: iddm resume {run.name} --set data.path=FOLDER"
    )
