"""`iddm inspect-dataset`: what is in a dataset, before hours are spent on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.errors import DatasetError

if TYPE_CHECKING:
    from iddm_cli.data.sources import Source

EXAMPLES = """\
[bold]Examples[/bold]

  iddm inspect-dataset photos/

  iddm inspect-dataset photos/ --out report --json
"""

DEMO_SIZE = (32, 32)
"""The size at which the demo set, which has none of its own, is looked at."""


def inspect_dataset(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Folder of pictures, one sub-folder per class; or a built-in set; or demo.",
        ),
    ],
    out: Annotated[
        Path | None,
        options.option(help="Folder for contact-sheet.png and report.json.", panel=options.OUTPUT),
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Tell what is in a dataset: classes, sizes, colour modes, unreadable files.

    The exit code is 0 where it can be trained on, and 3 where it cannot.
    """
    from iddm_cli.data.inspection import inspect
    from iddm_cli.data.sources import open_source
    from iddm_cli.display import console, inspection
    from iddm_cli.display.progress import counting

    source = open_source(path, size=DEMO_SIZE)
    with counting("reading pictures") as progress:
        found = inspect(source, progress=progress)
    report = found.to_json()
    if out is not None:
        write_report(out, source, report)
    if json:
        console.document(report)
    else:
        console.out.print(inspection.report(found))
        if out is not None:
            console.result(str(out / "contact-sheet.png"))
        else:
            console.note("for a contact sheet of each class: --out FOLDER", style="dim")
    if not found.trainable:
        raise typer.Exit(DatasetError.exit_code)


def write_report(folder: Path, source: "Source", report: dict[str, object]) -> None:
    """Write contact-sheet.png and report.json.

    Raises:
        DatasetError: They cannot be written.
    """
    from json import dumps

    from iddm_cli import durable, pictures
    from iddm_cli.data.inspection import contact_sheet

    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures.save_png(contact_sheet(source), folder / "contact-sheet.png")
        content = dumps(report, indent=1, ensure_ascii=False).encode()
        durable.write_file(folder / "report.json", content)
    except OSError as error:
        raise DatasetError(f"--out {folder}: {error.strerror}", "Choose another --out.") from error
