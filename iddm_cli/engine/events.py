"""Events: what the engine tells whoever runs it, as plain data."""

from dataclasses import dataclass
from pathlib import Path

from iddm_cli.checkpoints.events import Saved, Unsaved

SAVE = 1
"""What may be asked of a training: a checkpoint, and going on."""

TIME_UP = 2
"""What may be asked of a training: a checkpoint, and an end, since its time is up. Larger numbers
are 128 and the signal that asks for an end."""


@dataclass(frozen=True)
class Stepped:
    """One update is done."""

    step: int


@dataclass(frozen=True)
class Logged:
    """The figures of the steps since the last such event.

    Attributes:
        step: Updates done so far.
        epoch: Passes over the dataset so far, with a fraction.
        loss: Mean loss over those steps; nan where all were skipped.
        lr: Learning rate of the last of them.
        grad_norm: Largest gradient norm among them, before clipping.
        images_per_second: Pictures learnt from per second of training, saving and drawing left out.
        seconds: Training time since this process started.
        skipped: Updates skipped in the whole run, since their numbers were not finite.
    """

    step: int
    epoch: float
    loss: float
    lr: float
    grad_norm: float
    images_per_second: float
    seconds: float
    skipped: int = 0


@dataclass(frozen=True)
class Saving:
    """A checkpoint of this moment is going to be written."""

    step: int


@dataclass(frozen=True)
class Shrunk:
    """Memory ran out, so from now on fewer pictures are computed at once.

    Attributes:
        step: The update that was made again.
        size: How many pictures now.
    """

    step: int
    size: int


@dataclass(frozen=True)
class WentBack:
    """Too many updates in a row were skipped, so training goes on from an older checkpoint.

    Attributes:
        step: Where it goes on.
        failed: Where it had got to.
        lr: The peak learning rate from now on.
    """

    step: int
    failed: int
    lr: float


@dataclass(frozen=True)
class Sampled:
    """A grid of sample pictures was drawn."""

    step: int
    path: Path


@dataclass(frozen=True)
class Stopped:
    """Training ended before its last step because it was asked to; a checkpoint holds it.

    Attributes:
        step: Updates done.
        request: TIME_UP, or 128 and the signal that asked.
    """

    step: int
    request: int

    @property
    def exit_code(self) -> int:
        """The exit code of a process that was asked to stop so."""
        return 0 if self.request == TIME_UP else self.request


Event = Stepped | Logged | Saving | Saved | Unsaved | Shrunk | WentBack | Sampled | Stopped
