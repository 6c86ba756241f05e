"""A batch-invariant denoiser of images of any size: one for each size, prepared on demand."""

from functools import lru_cache

from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.reduced_precision.batch_invariant import (
    SINGLE_IMAGES,
    BatchInvariantDenoiser,
    make_batch_invariant,
)

MOST_SIZES = 8
"""Sizes that are kept prepared; the one unused for longest is dropped first."""


class SizeVariants:
    """The batch-invariant denoisers of one network, by the size of its images.

    Preparing a size takes the time of a few network calls, so that the first call of a size is
    slower than the next ones. Where a trial finds that images of a size change each other, each of
    them is computed alone.

    Attributes:
        is_invariant: Whether no trial so far found an effect of other images that could not be
            avoided.

    Args:
        denoiser: A denoiser in evaluation mode.
        shape: Channels, height and width of the images of the first size; it is prepared at once.
    """

    def __init__(self, denoiser: Denoiser, shape: tuple[int, int, int]) -> None:
        self.is_invariant = True
        self._denoiser = denoiser
        self._variant_of = lru_cache(MOST_SIZES)(self._prepare)
        self._variant_of(shape)

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Estimate x from x_t, [B, C, H, W], at times t, [B], given labels, [B]."""
        variant = self._variant_of((x_t.shape[1], x_t.shape[2], x_t.shape[3]))
        return variant(x_t, t, label)

    def _prepare(self, shape: tuple[int, int, int]) -> BatchInvariantDenoiser:
        variant = make_batch_invariant(self._denoiser, shape)
        if not variant.is_invariant:
            variant = make_batch_invariant(self._denoiser, shape, SINGLE_IMAGES)
        self.is_invariant &= variant.is_invariant
        return variant
