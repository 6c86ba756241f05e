"""The contract of objectives, and the usual one: the denoising loss."""

from typing import Protocol

from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser


class Objective(Protocol):
    """What the updates of a denoiser minimize; a function of its arguments alone."""

    @property
    def extra_passes(self) -> float:
        """Forward passes of each image, on average, besides the one that is trained."""
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
    """The denoising loss (DDPM, arXiv:2006.11239, eq. 14)."""

    extra_passes = 0.0

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
