"""The teacher of a distilled run: a trained model, and its copy inside the new run.

The copy is an exported file, so that the new run resumes when the teacher is gone, and so that
`iddm generate NEW/teacher.safetensors` shows what it learns from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError
from iddm_cli.profiles.overrides import Override
from iddm_cli.runs.run import Run
from iddm_cli.workflows import models
from iddm_cli.workflows.training.attach_dataset import has_dataset

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.value_range import ValueRange


@dataclass(frozen=True)
class Teacher:
    """A trained model that a new run is distilled from, as it is sent to every process.

    Attributes:
        name: The run's name.
        path: Folder of the run, or the exported file.
        step: Step of its checkpoint.
        classes: Names of its classes, by label; empty where it has none.
        values: The range of values that it was trained on; None: it is not known.
    """

    name: str
    path: Path
    step: int
    classes: tuple[str, ...]
    values: "ValueRange | None"

    def open_model(self) -> models.RunModel | models.FileModel:
        """Return the model on the disk.

        Raises:
            RunError: It is no longer there, or is damaged.
        """
        return models.find_model(None, str(self.path))

    def load_profile(self, overrides: list[Override] | None = None) -> "ResolvedProfile":
        """Return its profile, with averaged weights and other settings changed.

        Raises:
            IddmError: A setting is invalid, or the model is damaged.
        """
        average = Override("sampling.weights", "average", "--weights")
        return self.open_model().load_profile([average, *(overrides or [])])

    def open_weights(self) -> "WeightsSource":
        """Return its averaged weights.

        Raises:
            CheckpointError: They are missing or damaged.
        """
        return self.open_model().open_weights(self.step, "average")


def find_teacher(
    runs_dir: Path | None, reference: str | None, checkpoint: models.CheckpointChoice
) -> Teacher:
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
    step = model.open_weights(checkpoint, "average").step
    values: ValueRange | None = model.values
    if isinstance(model, models.RunModel):
        path = model.run.path.resolve()
        recorded = has_dataset(model.run) or model.run.read_json("dataset.json").get("values")
        values = values if recorded else None
    else:
        path = model.exported.path.resolve()
    return Teacher(model.name, path, step, model.classes, values)


def check_teacher(model: models.RunModel | models.FileModel) -> None:
    """Check that a model can be distilled.

    Raises:
        UsageError: It was distilled itself, or has no averaged weights.
    """
    distillation = model.load_profile([]).distillation
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


def export_teacher(run: Run, teacher: Teacher) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of the file that holds the teacher inside the new run.

    Raises:
        IddmError: The teacher is no longer there, or is damaged.
    """
    from iddm_cli.build.exporting import load_trained_model
    from iddm_cli.export.safetensors import build_safetensors

    model = teacher.open_model()
    trained = load_trained_model(
        teacher.name,
        teacher.load_profile(),
        teacher.classes,
        teacher.open_weights(),
        model.load_provenance(teacher.step),
        model.values,
    )
    yield run.teacher_path.name, build_safetensors(trained)
