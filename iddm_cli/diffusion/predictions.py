"""Prediction types: what a backbone is trained to output, and how that becomes an estimate of x.

All are linear in x and the noise. Formulas hold where alpha^2 + sigma^2 = 1; the denoiser scales
x_t, alpha and sigma of other schedules so that it is (`NoiseSchedule.at_unit_variance`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """A prediction type.

    Attributes:
        target: `target(x, noise, alpha, sigma)` returns what the backbone should output.
        to_x: `to_x(out, x_t, alpha, sigma)` returns the estimate of x that an output implies.
        error_scale: `error_scale(snr)` returns how many times the squared error of x is the
            squared error of the output.
        input_scale: `input_scale(alpha, sigma)` returns the factor on x_t before the backbone sees
            it; None: it sees x_t as it is.
    """

    target: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    to_x: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    error_scale: Callable[[Tensor], Tensor]
    input_scale: Callable[[Tensor, Tensor], Tensor] | None = None


EPSILON = Prediction(
    target=lambda x, noise, alpha, sigma: noise,
    to_x=lambda out, x_t, alpha, sigma: (x_t - sigma * out) / alpha,
    error_scale=lambda snr: snr,
)
"""The noise (DDPM, arXiv:2006.11239, eq. 15)."""

V = Prediction(
    target=lambda x, noise, alpha, sigma: alpha * noise - sigma * x,
    to_x=lambda out, x_t, alpha, sigma: alpha * x_t - sigma * out,
    error_scale=lambda snr: snr + 1,
)
"""The velocity (Salimans & Ho 2022, arXiv:2202.00512, section 4 and appendix D)."""

X = Prediction(
    target=lambda x, noise, alpha, sigma: x,
    to_x=lambda out, x_t, alpha, sigma: out,
    error_scale=torch.ones_like,
)
"""The clean image itself."""

FLOW = Prediction(
    target=lambda x, noise, alpha, sigma: noise - x,
    to_x=lambda out, x_t, alpha, sigma: (x_t - sigma * out) / (alpha + sigma),
    error_scale=lambda snr: (snr.sqrt() + 1) ** 2,
)
"""The velocity of rectified flow (Liu et al. 2022, arXiv:2209.03003, eq. 1). It means the same for
every noise schedule: to scale x_t, alpha and sigma changes nothing."""

DATA_STD = 0.5
"""Standard deviation that EDM takes images in [-1, 1] to have."""


def _noisy_variance(alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the variance of x_t, if that of x is `DATA_STD` squared."""
    return (alpha * DATA_STD) ** 2 + sigma**2


EDM = Prediction(
    target=lambda x, noise, alpha, sigma: (
        (sigma * x - alpha * DATA_STD**2 * noise)
        / (DATA_STD * _noisy_variance(alpha, sigma).sqrt())
    ),
    to_x=lambda out, x_t, alpha, sigma: (
        alpha * DATA_STD**2 * x_t / _noisy_variance(alpha, sigma)
        + sigma * DATA_STD * _noisy_variance(alpha, sigma).rsqrt() * out
    ),
    error_scale=lambda snr: 1 / DATA_STD**2 + snr,
    input_scale=lambda alpha, sigma: _noisy_variance(alpha, sigma).rsqrt(),
)
"""EDM's preconditioning (Karras et al. 2022, arXiv:2206.00364, table 1): input and target have unit
variance at every noise level. A uniform loss weight of this output is EDM's loss weight of x."""


def min_snr_weight(snr: Tensor, prediction: Prediction, gamma: float = 5.0) -> Tensor:
    """Return the Min-SNR weight of the squared error of the output (arXiv:2303.09556, eq. 8).

    The paper weights the squared error of x by min(snr, gamma).
    """
    return snr.clamp(max=gamma) / prediction.error_scale(snr)
