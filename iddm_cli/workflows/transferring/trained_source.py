"""A trained model that another run starts from: found, and sent to every process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import DatasetError, RunError, UsageError
from iddm_cli.profiles.overrides import Override
from iddm_cli.workflows import models
from iddm_cli.workflows.latents.own_encoder import load_latent_space, open_own_encoder
from iddm_cli.workflows.sampling.guiding import parse_guide
from iddm_cli.workflows.training.attach_dataset import has_dataset

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.value_range import ValueRange


@dataclass(frozen=True)
class TrainedSource:
    """A trained model that a new run starts from, as it is sent to every process.

    Attributes:
        name: The run's name.
        path: Folder of the run, or the exported file.
        step: Step of its checkpoint.
        classes: Names of its classes, by label; empty where it has none.
        values: The range of values that it was trained on; None: it is not known.
        weights: Name of its weights, such as average or raw.
        is_inside: Whether it is the autoencoder inside that file of a latent model.
    """

    name: str
    path: Path
    step: int
    classes: tuple[str, ...]
    values: "ValueRange | None"
    weights: str = "average"
    is_inside: bool = False

    def check_has_images(self, overrides: Sequence[Override], purpose: str, command: str) -> None:
        """Check that there are images to train on, as a distilled run needs too.

        Args:
            overrides: What overrides its profile.
            purpose: What the images are needed for: "train on".
            command: The command that trains.

        Raises:
            DatasetError: The model was imported, and no images are given.
        """
        model = self.open_model()
        if not isinstance(model, models.RunModel) or has_dataset(model.run):
            return
        if not any(override.key == "data.path" for override in overrides):
            raise DatasetError(
                f"run {self.name} was imported, so it has no images to {purpose}",
                f"Name their folder: {command} --data FOLDER",
            )

    def open_model(self) -> models.RunModel | models.FileModel:
        """Return the model on the disk.

        Raises:
            RunError: It is no longer there, or is damaged.
        """
        model = models.find_model(None, str(self.path))
        return open_own_encoder(model) if self.is_inside else model

    def load_profile(self, overrides: list[Override] | None = None) -> "ResolvedProfile":
        """Return its profile, which samples from these weights, with other settings changed.

        Raises:
            IddmError: A setting is invalid, or the model is damaged.
        """
        weights = Override("sampling.weights", self.weights, "--weights")
        return self.open_model().load_profile([weights, *(overrides or [])])

    def open_weights(self) -> "WeightsSource":
        """Return its weights.

        Raises:
            CheckpointError: They are missing or damaged.
        """
        return self.open_model().open_weights(self.step, self.weights)

    def build_file(self) -> bytes:
        """Return the content of an exported file of it, for a run that depends on it.

        Raises:
            IddmError: It is no longer there, or is damaged.
        """
        from iddm_cli.build.exporting import load_trained_model
        from iddm_cli.export.safetensors import build_safetensors

        model, profile = self.open_model(), self.load_profile()
        trained = load_trained_model(
            self.name,
            profile,
            self.classes,
            self.open_weights(),
            model.load_provenance(self.step),
            model.values,
            latents=load_latent_space(model, profile),
        )
        return build_safetensors(trained)

    def refer_from(self, runs_dir: Path) -> str:
        """Return how a profile names it: its name inside this folder of runs, or its path."""
        return self.name if self.path == (runs_dir / self.name).resolve() else str(self.path)


def describe_source(
    model: models.RunModel | models.FileModel, checkpoint: models.CheckpointChoice, weights: str
) -> TrainedSource:
    """Return a trained model as it is sent to every process.

    Args:
        model: The model.
        checkpoint: Step of its checkpoint, or best; None: the latest valid one.
        weights: Name of its weights, such as average or raw.

    Raises:
        CheckpointError: There is no such checkpoint, or it is damaged.
    """
    step = model.open_weights(checkpoint, weights).step
    values: ValueRange | None = model.values
    is_inside = False
    if isinstance(model, models.RunModel):
        path = model.run.path.resolve()
        recorded = has_dataset(model.run) or model.run.read_json("dataset.json").get("values")
        values = values if recorded else None
    else:
        path, is_inside = model.exported.path.resolve(), model.exported.outer is not None
    return TrainedSource(model.name, path, step, model.classes, values, weights, is_inside)


def parse_source(text: str) -> tuple[str, models.CheckpointChoice]:
    """Parse --from; return the reference of the model, and the step of its checkpoint.

    Raises:
        UsageError: The text is not RUN or RUN@STEP.
    """
    if not text or text.startswith("@"):
        raise UsageError(
            f"--from {text or repr(text)} names no model",
            "Write RUN for its latest checkpoint, RUN@STEP for another one, or the path of an "
            "exported file.",
        )
    return parse_guide(text)


def find_source(
    runs_dir: Path, reference: str, checkpoint: models.CheckpointChoice, weights: str = "average"
) -> TrainedSource:
    """Find a trained model to start a new run from.

    Args:
        runs_dir: Folder that holds the runs.
        reference: Name or folder of a run, or an exported file.
        checkpoint: Step of its checkpoint, or best; None: the latest valid one.
        weights: Name of its weights; an exported file has only one set.

    Raises:
        IddmError: There is none, it is damaged, or no training can start from it.
    """
    try:
        model = models.find_model(runs_dir, reference)
    except RunError as error:
        if not _is_foreign(Path(reference)):
            raise
        raise UsageError(
            f"--from {reference}: this is not a run of iddm",
            f"Import it first: iddm import {reference} --name NAME. Then: iddm train --from NAME",
        ) from error
    profile = model.load_profile([])
    distillation = profile.distillation
    if distillation.teacher is not None:
        raise UsageError(
            f"--from {reference}: {model.name} was distilled, so its network no longer removes "
            "noise step by step",
            f"Start from its teacher: --from {distillation.teacher}",
        )
    if isinstance(model, models.FileModel):
        weights = model.exported.record.weights
    return describe_source(model, checkpoint, weights)


def _is_foreign(path: Path) -> bool:
    """Return whether a path may hold a model of another program, which iddm import reads."""
    try:
        return any((path / name).is_file() for name in ("model_index.json", "config.json")) or (
            path.suffix in (".pt", ".pth", ".ckpt", ".bin") and path.is_file()
        )
    except (OSError, ValueError):
        return False
