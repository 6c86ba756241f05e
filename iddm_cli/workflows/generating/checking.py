"""Check a folder of generated images: which of them are missing or damaged."""

from pathlib import Path

from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.output.existing_images import find_problem, read_manifest
from iddm_cli.workflows.generating.output.output_layout import MANIFEST
from iddm_cli.workflows.generating.output.shard_checks import find_shard_problem, is_shard


def check_images(folder: Path | None, *, as_json: bool) -> int:
    """Print which images of a folder are missing or damaged; return 1 if there are any, else 0.

    Args:
        folder: The folder.
        as_json: Whether the result is printed as JSON.

    Raises:
        UsageError: It is not a folder of generated images.
    """
    if folder is None:
        raise UsageError("--check needs --out: the folder to check", "Add --out FOLDER.")
    manifest = read_manifest(folder)
    if manifest is None:
        raise UsageError(
            f"{folder} has no {MANIFEST}", "Name a folder that iddm generate has written."
        )
    images = [str(image) for image in manifest["images"]]  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {"missing": [], "damaged": []}
    with show_progress() as progress:
        for done, image in enumerate(images, start=1):
            path = folder / image
            problem = (
                find_shard_problem(path, decode=True) if is_shard(path) else find_problem(path)
            )
            if problem:
                found[problem].append(image)
            progress("checking images", done, len(images))
    total, bad = len(images), len(found["missing"]) + len(found["damaged"])
    if as_json:
        console.print_json({"images": total, **found})
    else:
        for text in (f"{kind} {name}" for kind, names in found.items() for name in names):
            console.print_result(text)
        kind = "shards" if "samples" in manifest else "images"
        console.print_note(f"{total - bad:,} of {total:,} {kind} in {folder} are whole")
        if bad:
            console.print_note(
                "The command that generated them, given again, generates the others."
            )
    return 1 if bad else 0
