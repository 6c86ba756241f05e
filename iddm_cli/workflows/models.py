"""Sources of trained models, as users name them: a run, or an exported file."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from iddm_cli.errors import UsageError
from iddm_cli.records.weights_names import is_named_average, part_of_weights
from iddm_cli.runs.exported_file import SUFFIX, ExportedFile, is_exported_file, open_exported_file
from iddm_cli.workflows.averaging.named_averages import find_average

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.export.trained_model import Provenance
    from iddm_cli.profiles.overrides import Override
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.records.tuned_tables import TunedTables
    from iddm_cli.runs.run import Run
    from iddm_cli.value_range import ValueRange


CheckpointChoice = int | Literal["best"] | None
"""The step of a checkpoint, the best one by training.keep_best, or None for the latest."""


class ModelSource(Protocol):
    """A trained model on the disk.

    Attributes:
        name: The run's name.
        reference: What a command line calls it, without its folder.
        classes: Names of its classes, by label; empty where it has none.
        values: The range of values that it was trained on.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def reference(self) -> str: ...  # noqa: D102

    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def values(self) -> "ValueRange": ...  # noqa: D102

    def load_profile(self, overrides: "Sequence[Override]") -> "ResolvedProfile":
        """Return its profile with some settings changed."""
        ...

    def open_weights(self, step: CheckpointChoice, weights: str) -> "WeightsSource":
        """Return its weights of this name on the disk: of a step, the best or the latest."""
        ...

    def default_output_dir(self) -> Path:
        """Return a new folder for the images that it generates."""
        ...

    def load_provenance(self, step: int, /) -> "Provenance":
        """Return what is known of its training."""
        ...

    def read_tuned_tables(self) -> "TunedTables":
        """Return the tables that were tuned for its network."""
        ...


class RunModel:
    """A run and its checkpoints.

    Args:
        run: The run.
    """

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.name = self.reference = run.name
        self.classes = run.read_classes()
        self.values = run.read_values()

    def load_profile(self, overrides: "Sequence[Override]") -> "ResolvedProfile":
        """Return the run's profile with some settings changed."""
        from iddm_cli.profiles.loading import load_profile, resolve_trained_profile

        path = self.run.profile_path
        return resolve_trained_profile(path, load_profile(str(path), overrides))

    def open_weights(self, step: CheckpointChoice, weights: str) -> "WeightsSource":
        """Return the checkpoint of a step, the best, or the latest whose weights are valid.

        Only the file of these weights is hashed. An average of a chosen length has its own file.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
        from iddm_cli.display import console

        folder = CheckpointFolder(self.run.checkpoints_dir)
        parts = [part_of_weights(weights)]
        if step == "best":
            step = self._find_best_step()
        if is_named_average(weights):
            return self._merge(find_average(self.run, weights, step))
        if step is not None:
            return self._merge(folder.at(step, parts))
        checkpoint, errors = folder.latest_valid(parts)
        for error in errors:
            console.print_warning(f"{error.problem}; using {checkpoint.path.name}")
        return self._merge(checkpoint)

    def _merge(self, checkpoint: "WeightsSource") -> "WeightsSource":
        """Return the weights of a checkpoint; merged with the base, if the run trains adapters."""
        if not self.run.base_path.exists():
            return checkpoint
        from iddm_cli.build.transferring.adapted_weights import MergedWeights
        from iddm_cli.export.exported_weights import ExportedWeights

        return MergedWeights(checkpoint, ExportedWeights(open_exported_file(self.run.base_path)))

    def _find_best_step(self) -> int:
        """Return the step of the checkpoint that is best by training.keep_best.

        Raises:
            CheckpointError: There is none.
        """
        from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
        from iddm_cli.errors import CheckpointError

        metric = self.load_profile([]).training.best_metric
        folder = CheckpointFolder(self.run.checkpoints_dir)
        best = folder.find_best(metric) if metric else None
        if best is not None:
            return best
        known = ", ".join(str(step) for step in folder.steps()) or "none"
        problem, hint = f"run {self.name} has no best checkpoint", f"Available steps: {known}."
        if metric is None:
            setting = "iddm train ... --set training.keep_best=held_out_loss"
            hint = f"{hint} To keep the best one of a new run: {setting}"
            raise CheckpointError(f"{problem}: training.keep_best is null", hint)
        raise CheckpointError(f"{problem}: none records its {metric}", hint)

    def default_output_dir(self) -> Path:
        """Return a new folder inside the run."""
        return self.run.path / "generated" / f"{datetime.now():%Y%m%d-%H%M%S-%f}"

    def load_provenance(self, step: int, /) -> "Provenance":
        """Return what the run's files record of its training up to a step."""
        from iddm_cli.build.exporting import collect_provenance

        return collect_provenance(self.run, step)

    def read_tuned_tables(self) -> "TunedTables":
        """Return the tables that were tuned for its network.

        Raises:
            RunError: Their file is damaged.
        """
        return self.run.read_tuned_tables()


class FileModel:
    """An exported file, which holds one set of weights.

    Args:
        exported: The file.
    """

    def __init__(self, exported: ExportedFile) -> None:
        self.exported = exported
        self.name = exported.record.run
        self.reference = exported.path.name
        self.classes = tuple(exported.record.classes)
        self.values = exported.read_values()

    def load_profile(self, overrides: "Sequence[Override]") -> "ResolvedProfile":
        """Return the profile in the file with some settings changed."""
        from iddm_cli.profiles.loading import build_profile, resolve_trained_profile
        from iddm_cli.profiles.overrides import Override
        from iddm_cli.profiles.strict_yaml import Document

        record = self.exported.record
        weights = Override("sampling.weights", record.weights, str(self.exported.path))
        path = self.exported.path
        document = Document(record.profile)
        profile = build_profile(path, document, [weights, *overrides], exported=True)
        return resolve_trained_profile(path, profile)

    def open_weights(self, step: CheckpointChoice, _weights: str) -> "WeightsSource":
        """Return the weights in the file.

        Raises:
            UsageError: Those of another step are requested.
        """
        from iddm_cli.export.exported_weights import ExportedWeights

        if step not in (None, self.exported.record.step):
            raise UsageError(
                f"--checkpoint {step}: {self.exported.path} holds the weights of step "
                f"{self.exported.record.step} only"
            )
        return ExportedWeights(self.exported)

    def default_output_dir(self) -> Path:
        """Return a new folder in the current one."""
        stem = self.exported.path.name.removesuffix(SUFFIX)
        return Path(f"{stem}-{datetime.now():%Y%m%d-%H%M%S-%f}")

    def load_provenance(self, _step: int, /) -> "Provenance":
        """Return what the file records of its training."""
        from iddm_cli.export.trained_model import Provenance

        record = self.exported.record
        return Provenance(dataset=record.dataset, versions=record.versions)

    def read_tuned_tables(self) -> "TunedTables":
        """Return the tables that were tuned for its network before the export.

        Raises:
            CheckpointError: The record is damaged.
        """
        return self.exported.read_tuned_tables()


def find_model(runs_dir: Path | None, reference: str | None) -> RunModel | FileModel:
    """Find a trained model by name or path; without one, the run last trained.

    Raises:
        RunError: There is none, or it is damaged.
    """
    from iddm_cli.runs.registry import open_run, resolve_runs_dir

    if is_exported_file(reference):
        return FileModel(open_exported_file(Path(str(reference))))
    return RunModel(open_run(resolve_runs_dir(runs_dir), reference))


def find_run_model(
    runs_dir: Path | None, reference: str | None, reason: str, hint: str
) -> RunModel:
    """Find a trained run, where an exported file does not do.

    Args:
        runs_dir: Folder of the runs.
        reference: Name or path.
        reason: Why a file does not do, as what follows "is an exported file".
        hint: What to do, up to the name of its run.

    Raises:
        RunError: There is none, or it is damaged.
        UsageError: It is an exported file.
    """
    model = find_model(runs_dir, reference)
    if isinstance(model, RunModel):
        return model
    raise UsageError(f"{reference} is an exported file{reason}", f"{hint} {model.name}")
