"""The first pictures of an imported run: it has learnt from others, which nobody knows any more."""

from dataclasses import replace
from typing import TYPE_CHECKING

from iddm_cli.errors import DatasetError
from iddm_cli.runs.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.overrides import Override


def has_dataset(run: Run) -> bool:
    """Say whether it is known what a run learns from; an imported one is told when it resumes."""
    found = run.read("dataset.json")
    return "digest" not in found or found["digest"] is not None


def require_dataset(run: Run, overrides: "Sequence[Override]") -> None:
    """Refuse to train an imported model on nothing.

    Raises:
        DatasetError: No pictures are given.
    """
    if not any(override.key == "data.path" for override in overrides):
        raise DatasetError(
            f"run {run.name} was imported, so it does not know any pictures to go on with",
            f"Say where they are: iddm resume {run.name} --set data.path=FOLDER",
        )


def align_classes(packed: "Pack", classes: tuple[str, ...], name: str) -> "Pack":
    """Return a pack whose labels count the classes as the run does.

    Raises:
        DatasetError: Its classes are others.
    """
    if packed.classes == classes:
        return packed
    if set(packed.classes) != set(classes):
        raise DatasetError(
            f"run {name} knows the classes {_listed(classes)}, and these pictures have "
            f"{_listed(packed.classes)}",
            "Name the folders of the pictures as the run does, or import the model again with "
            "--class-names.",
        )
    import numpy as np

    labels = np.array([classes.index(label) for label in packed.classes])[packed.labels]
    return replace(packed, classes=classes, labels=labels)


def _listed(classes: tuple[str, ...]) -> str:
    more = ", ..." if len(classes) > 12 else ""
    return ", ".join(classes[:12]) + more if classes else "none"


def record_dataset(run: Run, packed: "Pack", path: str) -> None:
    """Write down, once, what an imported run learns from."""
    if not has_dataset(run):
        from iddm_cli.workflows.training.data import describe_dataset

        run.write("dataset.json", describe_dataset(packed, path))
