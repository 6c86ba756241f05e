"""`iddm inspect-dataset`: report on a dataset before training on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.commands.options import ImageSizeOption, parse_size
from iddm_cli.errors import DatasetError

if TYPE_CHECKING:
    from iddm_cli.data.inspection.report_data import Inspection

EXAMPLES = """\
[bold]Examples[/bold]

  iddm inspect-dataset photos/

  iddm inspect-dataset photos/ --profile neu-det --out report

  iddm inspect-dataset mine.yaml --json
"""

PathArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PATH",
        help="Folder of images, one sub-folder per class; a zip or tar; a built-in dataset; "
        "demo; or a profile that names one. (default: the dataset of --profile)",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str | None,
    options.option(
        "--profile",
        "-p",
        help="Profile whose preprocessing is previewed. (default: the one that iddm train chooses)",
        panel=options.BASICS,
        metavar="PROFILE",
        complete=options.complete_profile,
    ),
]
OutOption = Annotated[
    Path | None,
    options.option(
        help="Folder for report.html, report.json and contact-sheet.png.",
        panel=options.OUTPUT,
        metavar="FOLDER",
    ),
]


def inspect_dataset(
    path: PathArgument = None,
    profile: ProfileOption = None,
    image_size: ImageSizeOption = None,
    out: OutOption = None,
    json: options.JsonOption = False,
) -> None:
    """Report what a dataset contains, what is wrong with it, and how training would preprocess it.

    The exit code is 0 if the dataset can be trained on, and 3 if not.
    """
    from iddm_cli.workflows import inspecting

    path, profile = inspecting.split_arguments(path, profile)
    size = None if image_size is None else parse_size(image_size)
    inspecting.check_image_size(image_size, size)
    settings = inspecting.resolve_settings(path, profile, size)
    shown = "" if profile is None and size is not None else profile
    inspection = inspecting.inspect_dataset(settings, profile_name=shown, output=out)
    _print_inspection(inspection, out, as_json=json)
    if not inspection.trainable:
        raise typer.Exit(DatasetError.exit_code)


def _print_inspection(inspection: "Inspection", out: Path | None, *, as_json: bool) -> None:
    from iddm_cli.display import console
    from iddm_cli.display.inspection import render_inspection

    if as_json:
        console.print_json(inspection.to_json())
        return
    console.out.print(render_inspection(inspection))
    if out is not None:
        console.print_result(str(out / "report.html"))
    else:
        console.print_note("as a page, with images of each class: --out FOLDER", style="dim")
