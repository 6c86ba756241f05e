"""Losses: how far an output is from its target, and how much each noise level counts.

A weight is a factor on the error of the output. Papers state weights of the error of x or of the
noise; `Prediction.error_scale` converts them, so that each means the same for every prediction
type.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from iddm_cli.diffusion.predictions import Prediction
from iddm_cli.profiles.settings import LossName, LossWeightName

GAMMA = 5.0
"""Min-SNR's gamma (arXiv:2303.09556, section 4.2)."""

HUBER_SCALE = 0.1
"""Error of an output at which the pseudo-Huber loss turns from a square to a straight line."""


def min_snr_weight(snr: Tensor, prediction: Prediction) -> Tensor:
    """Return the Min-SNR weight (Hang et al. 2023, arXiv:2303.09556, eq. 8).

    The paper weights the squared error of x by min(SNR, gamma).
    """
    return snr.clamp(max=GAMMA) / prediction.error_scale(snr)


def p2_weight(snr: Tensor, prediction: Prediction) -> Tensor:
    """Return the P2 weight (Choi et al. 2022, arXiv:2204.00227, eq. 8, with k = 1 and gamma = 1).

    The paper weights the squared error of the noise by 1 / (1 + SNR): little where only details
    that nobody sees are left to be cleaned. That of the noise is SNR times that of x.
    """
    return snr / (1 + snr) / prediction.error_scale(snr)


def squared_error(error: Tensor) -> Tensor:
    """Return the square (DDPM, arXiv:2006.11239, eq. 14)."""
    return error.square()


def huber_error(error: Tensor) -> Tensor:
    """Return the pseudo-Huber loss, 2 c (sqrt(e^2 + c^2) - c).

    For small errors it is the square, and large ones, such as those of outliers among the images,
    count less (Khrapov et al. 2024, arXiv:2403.16728, eq. 6; diffusers' scale).
    """
    # Not as the difference of two numbers that are almost equal for small errors.
    root = torch.sqrt(error.square() + HUBER_SCALE**2)
    return 2 * HUBER_SCALE * error.square() / (root + HUBER_SCALE)


LOSSES: dict[LossName, Callable[[Tensor], Tensor]] = {"mse": squared_error, "huber": huber_error}

LOSS_WEIGHTS: dict[LossWeightName, Callable[[Tensor, Prediction], Tensor] | None] = {
    "uniform": None,
    "min_snr": min_snr_weight,
    "p2": p2_weight,
}
"""From SNR, [B, 1, 1, 1], and prediction type to the weight of the output's error; None: 1."""
