"""The teacher of a distilled run: a trained model, and its copy inside the new run.

The copy is an exported file, so that the new run resumes when the teacher is gone, and so that
`iddm generate NEW/teacher.safetensors` shows what it learns from.
"""

from collections.abc import Iterator
from pathlib import Path

from iddm_cli.errors import UsageError
from iddm_cli.runs.run import Run
from iddm_cli.workflows import models
from iddm_cli.workflows.latents.refusal import check_generates
from iddm_cli.workflows.transferring.trained_source import TrainedSource, describe_source


def find_teacher(
    runs_dir: Path | None, reference: str | None, checkpoint: models.CheckpointChoice
) -> TrainedSource:
    """Find a trained model to distil.

    Args:
        runs_dir: Folder that holds the runs; None: the configured one.
        reference: Name or folder of a run, or an exported file; None: the run last trained.
        checkpoint: Step of its checkpoint, or best; None: the latest valid one.

    Raises:
        IddmError: There is none, it is damaged, or it cannot be distilled.
    """
    model = models.find_model(runs_dir, reference)
    check_teacher(model)
    return describe_source(model, checkpoint, "average")


def check_teacher(model: models.RunModel | models.FileModel) -> None:
    """Check that a model can be distilled.

    Raises:
        UsageError: It was distilled itself, or has no averaged weights.
    """
    profile = model.load_profile([])
    check_generates(profile, model.reference)
    distillation = profile.distillation
    if distillation.teacher is not None:
        raise UsageError(
            f"{model.reference} was distilled itself, so its estimates link no path to distil",
            f"Train it further: iddm resume {model.name}. Or distil its teacher again: iddm "
            f"distill {distillation.teacher}",
        )
    if isinstance(model, models.FileModel) and model.exported.record.weights != "average":
        raise UsageError(
            f"{model.reference} holds the {model.exported.record.weights} weights, and those named "
            "average are distilled",
            "Distil the run, or an export of it: iddm export safetensors RUN --weights average",
        )


def export_teacher(run: Run, teacher: TrainedSource) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of the file that holds the teacher inside the new run.

    Raises:
        IddmError: The teacher is no longer there, or is damaged.
    """
    yield run.teacher_path.name, teacher.build_file()
