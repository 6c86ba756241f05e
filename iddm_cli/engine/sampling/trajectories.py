"""Trajectories: the way of an image from noise, as x_t and as the estimate of x at each step."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

Key = TypeVar("Key")


@dataclass
class Trajectory:
    """The way of one image.

    Attributes:
        x_t: Where each step starts, converted, [C, H, W], on the CPU.
        denoised: Its estimate of x, likewise.
    """

    x_t: list[Tensor] = field(default_factory=list)
    denoised: list[Tensor] = field(default_factory=list)


class TrajectoryRecorder(Generic[Key]):
    """Records the trajectories of some images.

    Args:
        keys: The images to record.
        steps: Number of solver steps of the sampler.
        most: Steps to record at most, evenly spread, with the first and the last.
        convert: Converts what is recorded, [C, H, W], to something smaller.
    """

    def __init__(
        self,
        keys: Iterable[Key],
        *,
        steps: int,
        most: int,
        convert: Callable[[Tensor], Tensor] = Tensor.clone,
    ) -> None:
        self._convert = convert
        self.steps = frozenset(choose_steps(steps, most))
        self._trajectories = {key: Trajectory() for key in keys}

    def record(self, keys: Sequence[Key], step: int, x_t: Tensor, denoised: Tensor) -> None:
        """Record one step of a batch.

        Args:
            keys: The images of the batch.
            step: Number of the step.
            x_t: Where it starts, [B, C, H, W].
            denoised: Its estimate of x, [B, C, H, W].
        """
        if step not in self.steps:
            return
        for row, key in enumerate(keys):
            trajectory = self._trajectories.get(key)
            if trajectory is not None:
                trajectory.x_t.append(self._convert(x_t[row]).cpu())
                trajectory.denoised.append(self._convert(denoised[row]).cpu())

    def take(self, key: Key) -> Trajectory | None:
        """Return the trajectory of an image, once; None if it is not recorded."""
        return self._trajectories.pop(key, None)


def choose_steps(steps: int, most: int) -> list[int]:
    """Return up to `most` of the numbers 0 to steps - 1, evenly spread, with first and last."""
    if steps <= most:
        return list(range(steps))
    return [round(k * (steps - 1) / (most - 1)) for k in range(most)]
