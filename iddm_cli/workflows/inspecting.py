"""Inspection of a dataset: the settings to preview, the report, and the files it is written to."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.overrides import collect_overrides
from iddm_cli.storage.space import can_write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iddm_cli.data.inspection.report_data import Advice, Inspection
    from iddm_cli.data.inspection.scan import DatasetScan
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.data.sources.source import Source
    from iddm_cli.profiles.profile import Profile

PROFILE_SUFFIXES = (".yaml", ".yml")


def inspect_dataset(
    profile: "Profile", *, profile_name: str | None, output: Path | None
) -> "Inspection":
    """Decode every image of a profile's dataset and return the inspection report.

    Args:
        profile: The settings that are previewed, and where the dataset is.
        profile_name: The name that the report shows; "" for the defaults. None: the profile that
            `iddm train` would choose on a CPU is previewed instead.
        output: Folder for the report's files; None writes none.

    Raises:
        DatasetError: There is no dataset, or the output cannot be written.
        UsageError: The output folder is inside the dataset.
    """
    from iddm_cli.data.inspection.scan import scan
    from iddm_cli.data.inspection.summary import summarize
    from iddm_cli.data.sources.indexing.listing import to_printable
    from iddm_cli.data.sources.registry import open_dataset
    from iddm_cli.display.progress import show_progress

    if output is not None:
        check_output_folder(output, profile.data.path)
    with show_progress() as progress:
        source = open_dataset(profile.data, progress=progress)
        choice: list[Advice] = []
        if profile_name is None:
            profile_name, choice = _choose_profile(profile, source)
            profile = resolve_settings(profile.data.path, profile_name, None)
        data = profile.data
        scanned = scan(source, data, progress=progress)
        inspection = summarize(
            scanned, profile=to_printable(profile_name), batch_size=profile.training.batch_size
        )
        if profile_name:
            advice = [*_advise_length(profile, inspection), *choice]
            inspection = replace(inspection, advice=advice)
        if output is not None:
            write_report(output, scanned, inspection, progress)
    return inspection


def _choose_profile(profile: "Profile", source: "Source") -> tuple[str, "list[Advice]"]:
    """Return the profile that `iddm train` would choose on a CPU, and what it would on a GPU."""
    from iddm_cli.data.inspection.report_data import Advice
    from iddm_cli.workflows.planning.profile_choice import (
        DEFAULT_PROFILE,
        describe_source,
        find_shipped_rule,
    )

    if profile.data.path == DEFAULT_PROFILE:
        return DEFAULT_PROFILE, []
    facts = describe_source(source, profile.data, "cpu")
    rule, on_gpu = (find_shipped_rule(replace(facts, device=device)) for device in ("cpu", "cuda"))
    chosen = f"Without --profile, iddm train chooses `{rule.profile}` ({rule.reason})"
    if on_gpu != rule:
        chosen += f", and on a GPU `{on_gpu.profile}` ({on_gpu.reason})"
    return rule.profile, [Advice("hint", f"{chosen}.")]


def _advise_length(profile: "Profile", inspection: "Inspection") -> "Iterator[Advice]":
    """Yield the advice on the dataset, and that on the length of the profile's training."""
    from iddm_cli.data.inspection.report_data import Advice
    from iddm_cli.profiles.training_length import advise_length

    length = advise_length(profile.training, inspection.training) if inspection.count else []
    found = [
        Advice("warning", f"{item.text[:1].upper()}{item.text[1:]}.")
        for item in length
        if item.is_warning
    ]
    yield from sorted([*inspection.advice, *found], key=lambda line: line.level != "warning")


def split_arguments(path: str | None, profile: str | None) -> tuple[str | None, str | None]:
    """Return dataset and profile; a profile may be given in place of the dataset.

    Raises:
        UsageError: Neither is given, or two profiles are.
    """
    if path is None and profile is None:
        raise UsageError("neither a dataset nor a profile is given", "See: iddm inspect-dataset -h")
    if path is None or not path.lower().endswith(PROFILE_SUFFIXES) or Path(path).is_dir():
        return path, profile
    if profile is not None:
        raise UsageError(
            f"{path} and --profile {profile} are both profiles", "Give a dataset, or one of them."
        )
    return None, path


def resolve_settings(
    path: str | None, profile: str | None, image_size: int | list[int] | None
) -> "Profile":
    """Return the settings to preview.

    Raises:
        ProfileError: The profile cannot be found or read, or is invalid.
        UsageError: The path is not a valid one.
    """
    from pydantic import ValidationError

    from iddm_cli.profiles.checking.messages import explain_errors
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.profile import Profile

    given: dict[str, object] = {"PATH data.path": path, "--image-size data.image_size": image_size}
    if profile is not None:
        return load_profile(profile, collect_overrides(given))
    try:
        return Profile.model_validate({"data": {"path": path, "image_size": image_size or 32}})
    except ValidationError as error:
        issue = explain_errors(error)[0]
        raise UsageError(f"PATH: {issue.problem}", issue.hint) from None


def check_image_size(text: str | None, size: int | list[int] | None) -> None:
    """Check that a network can be trained at this size.

    Args:
        text: The size as given.
        size: The parsed size: one side, or height and width.

    Raises:
        UsageError: A side is 0, or larger than any network accepts.
    """
    from iddm_cli.profiles.settings import LARGEST_SIDE

    sides = size if isinstance(size, list) else [1 if size is None else size]
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise UsageError(
            f"--image-size {text} is out of range", f"Give 1 to {LARGEST_SIDE} pixels."
        )


def check_output_folder(output: Path, dataset: str) -> None:
    """Check that the output folder can be written, and is outside the dataset.

    Raises:
        UsageError: It is inside the dataset.
        DatasetError: It cannot be created.
    """
    try:
        existing = [folder for folder in (output, *output.absolute().parents) if folder.exists()]
    except OSError as error:
        raise DatasetError(f"--out {output}: {error.strerror}", "Choose another --out.") from error
    if not (existing[0].is_dir() and can_write(existing[0])):
        raise DatasetError(
            f"--out {output}: {existing[0]} cannot be written to", "Choose another --out."
        )
    if is_inside(output, dataset):
        raise UsageError(
            f"--out {output} is inside the dataset, which iddm never changes",
            "Choose a folder elsewhere.",
        )


def is_inside(path: Path, dataset: str) -> bool:
    """Return whether a path, with links resolved, is inside a dataset's folder."""
    try:
        root, path = Path(dataset).expanduser().resolve(), path.resolve()
        existing = [folder for folder in (path, *path.parents) if folder.exists()]
        if not root.exists():
            return False
        if root.samefile(root.parent) and root != root.parent:  # as where all inodes are 0
            return root in existing
        return any(folder.samefile(root) for folder in existing)
    except (OSError, RuntimeError, ValueError):
        return False  # not a path at all; opening the dataset reports that


def write_report(
    folder: Path, scan: "DatasetScan", inspection: "Inspection", progress: "ProgressCallback"
) -> None:
    """Write report.html, report.json and contact-sheet.png.

    Raises:
        DatasetError: They cannot be written.
    """
    from iddm_cli import durable, image_files
    from iddm_cli.data.inspection.thumbnails import build_thumbnails
    from iddm_cli.display.report import render_contact_sheet, render_page

    thumbnails = build_thumbnails(scan, progress=progress)
    content = json.dumps(inspection.to_json(), indent=2, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_file(folder / "report.json", content.encode())
        durable.write_file(folder / "report.html", render_page(inspection, thumbnails).encode())
        if inspection.count:
            sheet = render_contact_sheet(inspection, thumbnails)
            image_files.save_png(sheet, folder / "contact-sheet.png")
    except OSError as error:
        raise DatasetError(f"--out {folder}: {error.strerror}", "Choose another --out.") from error
