"""Events: what the engine reports to its caller, as plain data, and what the caller requests."""

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from iddm_cli.checkpoints.events import Saved, SaveFailed


class Request(IntEnum):
    """What is requested of a training, after the current step; the largest of all processes' wins.

    Requests to stop by a signal have the exit code that the signal gives: 128 and its number.
    """

    NONE = 0
    SAVE = 1
    """Save a checkpoint, and continue."""
    TIME_UP = 2
    """Save a checkpoint and stop: runtime.max_time is over."""
    HANGUP = 129
    """Save a checkpoint and stop, as SIGHUP asks."""
    INTERRUPT = 130
    """Save a checkpoint and stop, as SIGINT (Ctrl-C) asks."""
    TERMINATE = 143
    """Save a checkpoint and stop, as SIGTERM asks."""

    @property
    def is_stop(self) -> bool:
        """Whether training stops."""
        return self > Request.SAVE

    @property
    def exit_code(self) -> int:
        """The exit code of a process that this request stops."""
        return int(self) if self > Request.TIME_UP else 0


@dataclass(frozen=True)
class Stepped:
    """One update was made."""

    step: int


@dataclass(frozen=True)
class Logged:
    """Metrics of the steps since the last such event.

    Attributes:
        step: Number of updates made.
        epoch: Passes over the dataset so far, with a fraction.
        loss: Mean loss over those steps; nan where all updates were skipped.
        lr: Learning rate of the last of them.
        grad_norm: Largest gradient norm among them, before clipping.
        images_per_second: Training images per second, without saving and sampling.
        seconds: Training time since this process started.
        skipped: Updates skipped in the whole training, since their numbers were not finite.
        more: The metrics of further rows of engine.monitoring.metrics.METRICS, by name, how much of
            the device training used (tflops, mfu), and what an evaluation after this step found.
    """

    step: int
    epoch: float
    loss: float
    lr: float
    grad_norm: float
    images_per_second: float
    seconds: float
    skipped: int = 0
    more: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    """The training was evaluated after a step; the line of that step has the values as well.

    Attributes:
        step: Number of updates made.
        values: The held-out loss, the training loss, their bands, and metrics of generated
            images, as far as they were due, by name.
    """

    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class LossGap:
    """The held-out loss rose while the training loss fell: the model begins to memorize.

    Attributes:
        step: Number of updates made.
        since: The step that had the lowest held-out loss.
        held_out: The held-out loss then and now.
        training: The training loss then and now, at the same noise and times.
    """

    step: int
    since: int
    held_out: tuple[float, float]
    training: tuple[float, float]


@dataclass(frozen=True)
class StoppedEarly:
    """Training ended before its last step, as the held-out loss does not improve any more.

    Attributes:
        step: Number of updates made.
        since: The step that had the lowest held-out loss.
    """

    step: int
    since: int


@dataclass(frozen=True)
class MicroBatchReduced:
    """Memory ran out; from now on fewer images are computed at once.

    Attributes:
        step: The update that was repeated.
        size: The new micro-batch size.
    """

    step: int
    size: int


@dataclass(frozen=True)
class RolledBack:
    """Too many updates in a row were skipped; training continues from an older checkpoint.

    Attributes:
        step: The step of that checkpoint.
        failed: The step that training had reached.
        lr: The peak learning rate from now on.
    """

    step: int
    failed: int
    lr: float


@dataclass(frozen=True)
class SamplesGenerated:
    """A grid of sample images was generated."""

    step: int
    path: Path


@dataclass(frozen=True)
class Stopped:
    """Training stopped before its last step, as requested, with a checkpoint.

    Attributes:
        step: Number of updates made.
        request: What stopped it.
    """

    step: int
    request: Request

    @property
    def exit_code(self) -> int:
        """The exit code of the process."""
        return self.request.exit_code


Event = (
    Stepped
    | Logged
    | Saved
    | SaveFailed
    | MicroBatchReduced
    | RolledBack
    | SamplesGenerated
    | Evaluated
    | LossGap
    | Stopped
    | StoppedEarly
)
