"""Sources of trained models, as users name them: a run, or an exported file."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from iddm_cli.errors import RunError, UsageError
from iddm_cli.records.weights_names import is_named_average, part_of_weights
from iddm_cli.runs.exported_file import SUFFIX, ExportedFile, is_exported_file, open_exported_file
from iddm_cli.workflows.averaging.named_averages import find_average
from iddm_cli.workflows.upscaling.upscaling_models import check_upscales

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.export.trained_model import Provenance
    from iddm_cli.profiles.overrides import Override
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.records.tuned_tables import TunedTables
    from iddm_cli.runs.run import Run
    from iddm_cli.value_range import ValueRange


GUIDANCE = "sampling.guidance"

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


def load_sampling_profile(
    model: ModelSource,
    given: dict[str, object],
    *,
    autoguided: bool = False,
    upscales: bool | None = False,
) -> "ResolvedProfile":
    """Return a model's profile with the options of the command line.

    Where only another sampler is given, its own default number of steps applies.

    Args:
        model: The model.
        given: Values of options, by "--option setting.key"; None where not given.
        autoguided: Whether a weaker model guides, so that --guidance needs no training without
            labels.
        upscales: Whether the model must upscale images, or must not; None: it may.

    Raises:
        IddmError: An option is invalid, or the model is damaged, or of the other kind.
    """
    from iddm_cli.profiles.choices import SAMPLER_SPECIFIC
    from iddm_cli.profiles.overrides import Override, collect_overrides

    overrides: list[Override] = collect_overrides(given)
    profile = model.load_profile([])
    _check_ranges(model, profile.data.channels)
    check_upscales(model, profile, wanted=upscales)
    sampler = given["--sampler sampling.sampler"]
    if sampler is not None and sampler != profile.sampling.sampler:
        defaults = [Override(f"sampling.{k}", v, "--sampler") for k, v in SAMPLER_SPECIFIC.items()]
        overrides = [*defaults, *overrides]  # --steps, if given, still takes precedence
    if not autoguided:
        changed = model.load_profile(overrides)
    else:
        guidance = [each for each in overrides if each.key == GUIDANCE]
        changed = model.load_profile([each for each in overrides if each.key != GUIDANCE])
        changed = _override_guidance(changed, guidance)
    _warn_of_unsuited_sampler(model, changed)
    return resolve_tuned_calls(model, changed)


def _override_guidance(
    profile: "ResolvedProfile", overrides: "list[Override]"
) -> "ResolvedProfile":
    """Return a profile with another guidance scale, without the rules of classifier-free guidance.

    Raises:
        ProfileError: The scale is out of range.
    """
    from pydantic import ValidationError

    from iddm_cli.errors import ProfileError
    from iddm_cli.profiles.checking.messages import explain_errors
    from iddm_cli.profiles.profile import ResolvedProfile

    sections = profile.model_dump()
    for override in overrides:
        sections["sampling"]["guidance"] = override.value
        try:
            return ResolvedProfile.model_validate(sections)
        except ValidationError as error:
            issue = explain_errors(error)[0]
            raise ProfileError(f"{override.origin}: {issue.problem}", issue.hint) from None
    return profile


def resolve_tuned_calls(model: ModelSource, profile: "ResolvedProfile") -> "ResolvedProfile":
    """Return a profile in which a tuned sampler has the number of calls of one of its tables.

    Raises:
        UsageError: There is no such table.
        IddmError: The tables are damaged.
    """
    from iddm_cli.profiles.choices import SAMPLERS

    sampling = profile.sampling
    if not SAMPLERS[sampling.sampler].needs_tables:
        return profile
    steps = model.read_tuned_tables().resolve_calls(sampling.steps)
    sampling = sampling.model_copy(update={"steps": steps})
    return profile.model_copy(update={"sampling": sampling})


def _warn_of_unsuited_sampler(model: ModelSource, profile: "ResolvedProfile") -> None:
    from iddm_cli.display import console
    from iddm_cli.profiles.choices import SAMPLERS

    sampler, distilled = profile.sampling.sampler, profile.distillation.is_enabled
    if SAMPLERS[sampler].for_distilled and not distilled:
        console.print_warning(
            f"sampler {sampler} needs a distilled network, and {model.name} is none, so its "
            f"images will be poor; make one with: iddm distill {model.reference}"
        )
    elif distilled and not SAMPLERS[sampler].for_distilled:
        console.print_warning(
            f"{model.name} was distilled, so sampler {sampler} will make poor images; sampler "
            "consistency suits it"
        )


def _check_ranges(model: ModelSource, channels: int) -> None:
    if len(model.values.low) not in (1, channels):
        raise RunError(
            f"{model.name} is damaged: it has {channels} channels, and the range of values of "
            f"{len(model.values.low)}"
        )
