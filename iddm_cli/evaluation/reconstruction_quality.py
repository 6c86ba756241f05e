"""Reconstruction quality: how much of an image is left after encoding and decoding it.

The mean over an image hides what is small: a hairline crack has few pixels. So the largest error of
any window of 8 x 8 pixels is reported beside PSNR and SSIM, with the image that has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from iddm_cli.evaluation.fidelity import DATA_RANGE, compute_psnr, compute_ssim

WINDOW_SIDE = 8
"""Side of the windows in pixels; smaller images are one window."""


@dataclass(frozen=True)
class ReconstructionQuality:
    """How well an autoencoder reconstructs some images.

    Attributes:
        images: Number of images.
        psnr: Mean peak signal-to-noise ratio in decibels.
        ssim: Mean structural similarity.
        local_error: Largest mean absolute error of any window, as a share of the range of values.
        worst: Name of the image that has it.
        position: Row and column of that window's first pixel.
    """

    images: int
    psnr: float
    ssim: float
    local_error: float
    worst: str
    position: tuple[int, int]

    @property
    def values(self) -> dict[str, float]:
        """The numbers, by the names that metrics.jsonl gives them."""
        return {"psnr": self.psnr, "ssim": self.ssim, "local_error": self.local_error}

    def to_json(self) -> dict[str, object]:
        """Return the document of --json."""
        return {
            "images": self.images,
            **self.values,
            "worst": self.worst,
            "worst_position": list(self.position),
        }


def measure_reconstruction(
    reconstructions: Tensor, originals: Tensor, names: Sequence[str]
) -> ReconstructionQuality:
    """Return how well some images are reconstructed.

    Args:
        reconstructions: What was decoded, in about [-1, 1], [N, C, H, W]; it is clipped.
        originals: The images, [N, C, H, W].
        names: Name of each image.
    """
    reconstructions = reconstructions.clamp(-1, 1)
    errors, positions = measure_local_errors(reconstructions, originals)
    worst = int(errors.argmax())
    top, left = positions[worst].tolist()
    return ReconstructionQuality(
        images=len(originals),
        psnr=float(compute_psnr(reconstructions, originals).mean()),
        ssim=float(compute_ssim(reconstructions, originals).mean()),
        local_error=float(errors[worst]),
        worst=names[worst],
        position=(top, left),
    )


def measure_local_errors(images: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest mean absolute error of any window of each image, and where it is.

    Args:
        images: Images in [-1, 1], [N, C, H, W].
        references: What each one should be, of the same shape.

    Returns:
        The errors as shares of the range of values, [N]; row and column of the first pixel, [N, 2].
    """
    error = (images - references).abs().mean(1, keepdim=True) / DATA_RANGE
    window = [min(WINDOW_SIDE, side) for side in error.shape[2:]]
    means = functional.avg_pool2d(error, window, stride=1)
    largest, index = means.flatten(1).max(1)
    columns = means.shape[3]
    return largest, torch.stack([index // columns, index % columns], 1)
