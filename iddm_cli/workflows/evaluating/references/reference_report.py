"""Report how close a folder of images is to references, without anything else."""

from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display.progress import show_progress
from iddm_cli.errors import UsageError
from iddm_cli.workflows.evaluating.real_images import name_dataset
from iddm_cli.workflows.evaluating.references.fidelity_report import report_fidelities
from iddm_cli.workflows.evaluating.references.reference_pairs import measure_references
from iddm_cli.workflows.evaluating.request import EvaluationRequest

if TYPE_CHECKING:
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.evaluation.pair_fidelity import Fidelity


def report_references(
    folder: str, request: EvaluationRequest, *, out: Path | None, as_json: bool
) -> None:
    """Compare a folder with its references, and print the result.

    Args:
        folder: The folder.
        request: What to evaluate.
        out: File of the page; None writes none.
        as_json: Whether the result is printed as JSON.

    Raises:
        IddmError: An option needs other images, an image cannot be compared, or the page cannot be
            written.
    """
    for option, value in (("--usefulness", request.usefulness), ("--canonical", request.canonical)):
        if value:
            raise UsageError(
                f"{option} needs --against: references say nothing of other real images",
                f"Name them: iddm evaluate {folder} --against DATASET {option}",
            )
    with show_progress() as progress:
        fidelity, warnings = measure(folder, request, progress)

    title = name_dataset(folder)
    document = {"title": title, **fidelity.to_json()} if as_json else None
    report_fidelities(title, [("", fidelity)], warnings, document=document, out=out)


def measure(
    folder: str, request: EvaluationRequest, progress: "ProgressCallback"
) -> "tuple[Fidelity, list[str]]":
    """Return how close a folder is to the references that a request names, and warnings."""
    assert request.references is not None, "the request names references"
    size = request.image_size
    sides = (size, size) if isinstance(size, int) else size and (size[0], size[1])
    return measure_references(
        folder, request.references, size=sides or None, most=request.count, progress=progress
    )
