"""The contract of objectives, and the usual one: the denoising loss."""

from typing import Protocol

from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import NoiseSchedule


class Objective(Protocol):
    """What the updates of a denoiser minimize; a function of its arguments alone."""

    @property
    def extra_passes(self) -> int:
        """Forward passes of each image besides the one that is trained."""
        ...

    def choose_times(self, schedule: NoiseSchedule, fraction: Tensor) -> Tensor:
        """Return the times, [B], int64, of numbers that are uniform in [0, 1), [B]."""
        ...

    def losses(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        noise: Tensor,
        label: Tensor,
        *,
        target: Denoiser,
        step: int,
    ) -> Tensor:
        """Return the loss of each image, [B].

        Args:
            denoiser: The denoiser that is trained.
            x: Clean images, [B, C, H, W].
            t: Their times, [B].
            noise: Their noise, [B, C, H, W].
            label: Their labels, [B].
            target: The same denoiser without what synchronizes gradients between processes, for
                estimates that need no gradient.
            step: Number of updates made.
        """
        ...


class DenoisingObjective:
    """The denoising loss at times that are all equally likely (DDPM, arXiv:2006.11239, eq. 14)."""

    extra_passes = 0

    def choose_times(self, schedule: NoiseSchedule, fraction: Tensor) -> Tensor:
        """Return the times of numbers that are uniform in [0, 1)."""
        return spread_times(schedule, fraction)

    def losses(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        noise: Tensor,
        label: Tensor,
        *,
        target: Denoiser,  # noqa: ARG002
        step: int,  # noqa: ARG002
    ) -> Tensor:
        """Return the loss of each image, [B]."""
        return denoiser.loss(x, t, noise, label)


def spread_times(schedule: NoiseSchedule, fraction: Tensor) -> Tensor:
    """Return the times at these fractions of a schedule, in [0, 1): all are equally likely."""
    timesteps = len(schedule)
    return (fraction * timesteps).long().clamp(max=timesteps - 1)
