"""Trained models as users name them, a run or an exported file, and how they are to draw.

`generate` and `export` take the same reference and the same options, spelled here once.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from iddm_cli.errors import UsageError
from iddm_cli.runs.exported_file import SUFFIX, ExportedFile, is_exported_file, open_exported_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iddm_cli.build.models import Saved
    from iddm_cli.export.trained_model import Provenance
    from iddm_cli.profiles.overrides import Override
    from iddm_cli.profiles.profile import Profile
    from iddm_cli.runs.run import Run


class Trained(Protocol):
    """A trained model.

    Attributes:
        name: The run's name.
        reference: What it is called on a command line; no folder is told.
        classes: Names of its classes, by index; empty without.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def reference(self) -> str: ...  # noqa: D102

    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102

    def profile(self, overrides: "Sequence[Override]") -> "Profile":
        """Return its profile with some settings changed."""
        ...

    def saved(self, checkpoint: int | None) -> "Saved":
        """Return its weights on the disk: those of a step, or the newest good ones."""
        ...

    def place(self) -> Path:
        """Return a fresh folder for what it draws."""
        ...

    def provenance(self, step: int, /) -> "Provenance":
        """Return what is told of its training."""
        ...


class TrainedRun:
    """A run and its checkpoints."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.name = self.reference = run.name
        self.classes = run.read_classes()

    def profile(self, overrides: "Sequence[Override]") -> "Profile":
        """Return the run's profile with some settings changed."""
        from iddm_cli.profiles.loading import load_profile

        return load_profile(str(self.run.profile_path), overrides)

    def saved(self, checkpoint: int | None) -> "Saved":
        """Return the checkpoint of a step, or the newest good one.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        from iddm_cli.checkpoints.folder import CheckpointFolder
        from iddm_cli.display import console

        folder = CheckpointFolder(self.run.checkpoints_dir)
        if checkpoint is not None:
            return folder.at(checkpoint)
        newest, damaged = folder.newest()
        for error in damaged:
            console.print_warning(f"{error.problem}; using {newest.path.name}")
        return newest

    def place(self) -> Path:
        """Return a fresh folder inside the run."""
        return self.run.path / "generated" / f"{datetime.now():%Y%m%d-%H%M%S-%f}"

    def provenance(self, step: int, /) -> "Provenance":
        """Return what the run's files tell of its training up to a step."""
        from iddm_cli.build.exporting import collect_provenance

        return collect_provenance(self.run, step)


class TrainedFile:
    """An exported file, which holds one lot of weights."""

    def __init__(self, exported: ExportedFile) -> None:
        self.exported = exported
        self.name = exported.record.run
        self.reference = exported.path.name
        self.classes = tuple(exported.record.classes)

    def profile(self, overrides: "Sequence[Override]") -> "Profile":
        """Return the profile in the file with some settings changed."""
        from iddm_cli.profiles.loading import build_profile
        from iddm_cli.profiles.overrides import Override
        from iddm_cli.profiles.strict_yaml import Document

        record = self.exported.record
        weights = Override("sampling.weights", record.weights, str(self.exported.path))
        return build_profile(self.exported.path, Document(record.profile), [weights, *overrides])

    def saved(self, checkpoint: int | None) -> "Saved":
        """Return the weights in the file.

        Raises:
            UsageError: Others are asked for.
        """
        from iddm_cli.export.exported_weights import ExportedWeights

        if checkpoint not in (None, self.exported.record.step):
            raise UsageError(
                f"--checkpoint {checkpoint}: {self.exported.path} holds the weights of step "
                f"{self.exported.record.step} only"
            )
        return ExportedWeights(self.exported)

    def place(self) -> Path:
        """Return a fresh folder beside the user."""
        stem = self.exported.path.name.removesuffix(SUFFIX)
        return Path(f"{stem}-{datetime.now():%Y%m%d-%H%M%S-%f}")

    def provenance(self, _step: int, /) -> "Provenance":
        """Return what the file tells of its training."""
        from iddm_cli.export.trained_model import Provenance

        record = self.exported.record
        return Provenance(dataset=record.dataset, made_with=record.versions)


def find(runs_dir: Path | None, reference: str | None) -> TrainedRun | TrainedFile:
    """Find a trained model by what the user called it.

    Raises:
        RunError: There is none, or it is damaged.
    """
    from iddm_cli.runs.registry import open_run, resolve_runs_dir

    if is_exported_file(reference):
        return TrainedFile(open_exported_file(Path(str(reference))))
    return TrainedRun(open_run(resolve_runs_dir(runs_dir), reference))


def sampling_profile(trained: Trained, given: dict[str, object]) -> "Profile":
    """Return a model's profile with the options that were given.

    Another sampler alone takes its own usual number of steps.
    """
    from iddm_cli.profiles.choices import SAMPLER_SPECIFIC
    from iddm_cli.profiles.overrides import Override, collect_overrides

    overrides: list[Override] = collect_overrides(given)
    profile = trained.profile([])
    sampler = given["--sampler sampling.sampler"]
    if sampler is not None and sampler != profile.sampling.sampler:
        usual = [Override(f"sampling.{k}", v, "--sampler") for k, v in SAMPLER_SPECIFIC.items()]
        overrides = [*usual, *overrides]  # so that --steps, if given, still wins
    return trained.profile(overrides)
