"""A training job: what every process of a training receives."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.runs.run import Run

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.transferring.trained_source import TrainedSource


@dataclass(frozen=True)
class JobOptions:
    """What the command line asks for besides the profile.

    Attributes:
        runs_dir: The folder of runs.
        resumed: The run to resume; None starts a new one.
        name: Name of the new run; None makes one of `stem` and the time.
        stem: The profile's name.
        overwrite: Whether an older run of that name is replaced.
        as_json: Whether the result is printed as JSON.
        steal_lock: Whether the run is taken over from a process on another machine.
        may_exist: Whether a run of that name and profile is resumed, since torchrun starts the
            command again.
        teacher: The model that the new run is distilled from; None: it is trained as usual.
        source: The model whose weights the new run starts from; None: it starts untrained.
        encoder: The autoencoder whose latents are trained on; None: pixels are.
        started: When the command started, by time.monotonic().
    """

    runs_dir: Path
    resumed: Run | None = None
    name: str | None = None
    stem: str = "run"
    overwrite: bool = False
    as_json: bool = False
    steal_lock: bool = False
    may_exist: bool = False
    teacher: "TrainedSource | None" = None
    source: "TrainedSource | None" = None
    encoder: "TrainedSource | None" = None
    started: float = field(default_factory=time.monotonic)

    @property
    def parent(self) -> "TrainedSource | None":
        """The trained model whose weights the new run starts from, or is distilled from."""
        return self.source or self.teacher


@dataclass(frozen=True)
class Job:
    """A training, as it is sent to every process.

    Attributes:
        profile: The profile, its channels decided.
        pack: The dataset.
        options: What the command line asks for besides the profile.
        evaluated: The dataset that generated images are compared with, of the same images without
            random crops; None where evaluation.every is 0.
    """

    profile: "ResolvedProfile"
    pack: "Pack"
    options: JobOptions
    evaluated: "Pack | None" = None

    @property
    def deadline(self) -> float | None:
        """When training must save and stop, by time.monotonic(); None: never."""
        seconds = self.profile.runtime.max_seconds
        return None if seconds is None else self.options.started + seconds
