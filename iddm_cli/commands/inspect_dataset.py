"""`iddm inspect-dataset`: what is in a dataset, before hours are spent on it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.commands.options import ImageSizeOption, parse_size
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.overrides import collect_overrides

if TYPE_CHECKING:
    from iddm_cli.data.inspection.report_data import Inspection
    from iddm_cli.data.inspection.scan import Survey
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.profiles.profile import Profile

EXAMPLES = """\
[bold]Examples[/bold]

  iddm inspect-dataset photos/

  iddm inspect-dataset photos/ --profile neu-det --out report

  iddm inspect-dataset mine.yaml --json
"""

PROFILES = (".yaml", ".yml")

PathArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PATH",
        help="Folder of pictures, one sub-folder per class; a zip or tar; a built-in set; demo; or "
        "a profile, which says where. (default: the data of --profile)",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str | None,
    options.option(
        "--profile",
        "-p",
        help="Whose settings would be applied to the pictures. (default: 32 x 32, cropped)",
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
    """Tell what is in a dataset, what is wrong with it, and what training would make of it.

    The exit code is 0 where it can be trained on, and 3 where it cannot.
    """
    from iddm_cli.data.inspection.scan import sum_up, survey
    from iddm_cli.data.sources.listing import plain
    from iddm_cli.data.sources.registry import open_source
    from iddm_cli.display.progress import show_progress

    path, profile = tell_apart(path, profile)
    resolved = resolve(path, profile, image_size)
    data = resolved.data
    if out is not None:
        check_out(out, data.path)
    source = open_source(data.path, size=data.stored_size, label_column=data.label_column)
    with show_progress() as progress:
        seen = survey(source, data, progress=progress)
        batch_size = resolved.training.batch_size
        found = sum_up(seen, profile=plain(profile or ""), batch_size=batch_size)
        if out is not None:
            write_report(out, seen, found, progress)
    show(found, out, as_json=json)
    if not found.trainable:
        raise typer.Exit(DatasetError.exit_code)


def tell_apart(path: str | None, profile: str | None) -> tuple[str | None, str | None]:
    """Return dataset and profile; a profile may be given in the dataset's place.

    Raises:
        UsageError: Neither is given, or two profiles are.
    """
    if path is None and profile is None:
        raise UsageError("neither a dataset nor a profile is given", "See: iddm inspect-dataset -h")
    if path is None or not path.lower().endswith(PROFILES) or Path(path).is_dir():
        return path, profile
    if profile is not None:
        raise UsageError(
            f"{path} and --profile {profile} are both profiles", "Give a dataset, or one of them."
        )
    return None, path


def resolve(path: str | None, profile: str | None, image_size: str | None) -> "Profile":
    """Return the settings that would be applied.

    Raises:
        ProfileError: The profile cannot be found or read, or something in it is wrong.
        UsageError: The size is none, or too large.
    """
    from pydantic import ValidationError

    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.messages import explain_all
    from iddm_cli.profiles.overrides import known_keys
    from iddm_cli.profiles.profile import Profile

    size = None if image_size is None else parse_size(image_size)
    check_size(image_size, size)
    given: dict[str, object] = {"PATH data.path": path, "--image-size data.image_size": size}
    if profile is not None:
        return load_profile(profile, collect_overrides(given))
    try:
        data = {"path": path, "image_size": size or 32}
        return Profile.model_validate({"data": data})
    except ValidationError as error:
        fault = explain_all(error.errors(), known_keys())[0]
        raise UsageError(f"PATH: {fault.problem}", fault.hint) from None


def check_size(text: str | None, size: int | list[int] | None) -> None:
    """Refuse sizes that nothing can be learnt at.

    Raises:
        UsageError: One side is 0, or larger than any network takes.
    """
    from iddm_cli.profiles.settings import LARGEST_SIDE

    sides = size if isinstance(size, list) else [1 if size is None else size]
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise UsageError(
            f"--image-size {text} cannot be learnt at", f"Give 1 to {LARGEST_SIDE} pixels."
        )


def check_out(out: Path, dataset: str) -> None:
    """Refuse to write where nothing can be written, or into the dataset.

    Raises:
        UsageError: The folder lies in the dataset.
        DatasetError: It cannot be made.
    """
    try:
        around = [folder for folder in (out, *out.absolute().parents) if folder.exists()]
    except OSError as error:
        raise DatasetError(f"--out {out}: {error.strerror}", "Choose another --out.") from error
    if not (around[0].is_dir() and os.access(around[0], os.W_OK)):
        raise DatasetError(f"--out {out}: {around[0]} cannot be written to", "Choose another.")
    if is_inside(out, dataset):
        raise UsageError(
            f"--out {out} lies in the dataset, into which nothing is written",
            "Give a folder elsewhere.",
        )


def is_inside(place: Path, dataset: str) -> bool:
    """Say whether a path leads into a dataset's folder, links followed."""
    try:
        root, place = Path(dataset).expanduser().resolve(), place.resolve()
        around = [folder for folder in (place, *place.parents) if folder.exists()]
        return root.exists() and any(folder.samefile(root) for folder in around)
    except (OSError, RuntimeError, ValueError):
        return False  # no folder, or no name of any; whoever opens it says so


def write_report(
    folder: Path, seen: "Survey", found: "Inspection", progress: "ProgressCallback"
) -> None:
    """Write report.html, report.json and contact-sheet.png.

    Raises:
        DatasetError: They cannot be written.
    """
    from json import dumps

    from iddm_cli import durable, image_files
    from iddm_cli.data.inspection.thumbnails import make_album
    from iddm_cli.display import report

    album = make_album(seen, progress=progress)
    content = dumps(found.to_json(), indent=2, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_file(folder / "report.json", content.encode())
        durable.write_file(folder / "report.html", report.page(found, album).encode())
        if found.count:
            image_files.save_png(report.contact_sheet(found, album), folder / "contact-sheet.png")
    except OSError as error:
        raise DatasetError(f"--out {folder}: {error.strerror}", "Choose another --out.") from error


def show(found: "Inspection", out: Path | None, *, as_json: bool) -> None:
    """Print the inspection."""
    from iddm_cli.display import console, inspection

    if as_json:
        console.print_json(found.to_json())
        return
    console.out.print(inspection.report(found))
    if out is not None:
        console.print_result(str(out / "report.html"))
    else:
        console.print_note("as a page, with pictures of each class: --out FOLDER", style="dim")
