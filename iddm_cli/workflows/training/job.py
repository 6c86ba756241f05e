"""A training job: what one process of a run does, alone or as one of a team.

`train` and `resume` make a Job and launch it; `work` is what every process then does. The leader
of a team writes and speaks for all.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.runs.run import Run

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.profile import Profile


@dataclass(frozen=True)
class Job:
    """What is to be trained, as it is sent to every process.

    Attributes:
        profile: The profile as resolved.
        folder: The folder of runs.
        resumed: The run to go on with; None starts a new one.
        name: Name of the new run; None makes one of `stem` and the time.
        stem: The profile's name.
        overwrite: Whether an older run of that name is replaced.
        as_json: Whether the result is told as JSON.
        packed: The dataset, where it is packed already.
        steal_lock: Whether the run is taken from a process on another machine.
        began: When the command began, by time.monotonic().
    """

    profile: "Profile"
    folder: Path
    resumed: Run | None = None
    name: str | None = None
    stem: str = "run"
    overwrite: bool = False
    as_json: bool = False
    packed: "Pack | None" = None
    steal_lock: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def deadline(self) -> float | None:
        """When training must save and stop, by time.monotonic(); None: never."""
        seconds = self.profile.runtime.max_seconds
        return None if seconds is None else self.began + seconds
