"""Events: what the engine tells whoever runs it, as plain data."""

from dataclasses import dataclass
from pathlib import Path


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
        loss: Mean loss over those steps.
        lr: Learning rate of the last of them.
        grad_norm: Largest gradient norm among them, before clipping.
        images_per_second: Pictures learnt from per second of training, saving and drawing left out.
        seconds: Training time since this process started.
    """

    step: int
    epoch: float
    loss: float
    lr: float
    grad_norm: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class Saved:
    """A checkpoint is complete on the disk."""

    step: int
    path: Path


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
        signal: The number of the signal that asked.
    """

    step: int
    signal: int


Event = Stepped | Logged | Saved | Sampled | Stopped
