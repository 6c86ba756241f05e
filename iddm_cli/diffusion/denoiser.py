"""The denoiser: a backbone behind the one contract, `denoise(x_t, t, label) -> estimate of x`.

What the backbone is asked to predict (the noise, v, or x) is a linear map away from x; nobody
outside this file needs to know which it was.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from iddm_cli.diffusion.schedules import NoiseSchedule

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`denoise(x_t [B, C, H, W], t [B], label [B])` returns an estimate of x, [B, C, H, W]."""


def x_from_epsilon(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Noise prediction (DDPM, arXiv:2006.11239, eq. 15)."""
    return (x_t - sigma * out) / alpha


def x_from_v(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """V prediction (Salimans & Ho 2022, arXiv:2202.00512, section 4 and appendix D)."""
    return alpha * x_t - sigma * out


def x_from_x(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Prediction of the clean image itself."""
    return out


def epsilon_target(x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return what an epsilon backbone should say."""
    return noise


def v_target(x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return what a v backbone should say."""
    return alpha * noise - sigma * x


def x_target(x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return what an x backbone should say."""
    return x


PREDICTIONS = {
    "epsilon": (epsilon_target, x_from_epsilon),
    "v": (v_target, x_from_v),
    "x": (x_target, x_from_x),
}


def min_snr_weight(snr: Tensor, prediction: str, gamma: float = 5.0) -> Tensor:
    """Min-SNR weight of the squared error in the backbone's own terms (arXiv:2303.09556, eq. 8).

    The paper weighs the error of x by min(snr, gamma); an error in epsilon is snr times, one in
    v is snr + 1 times that of x.
    """
    per_x = {"epsilon": snr, "v": snr + 1, "x": torch.ones_like(snr)}[prediction]
    return snr.clamp(max=gamma) / per_x


class Denoiser(nn.Module):
    """A backbone with its noise schedule and prediction type.

    Args:
        backbone: `backbone(x_t, t, label)` returns a tensor shaped like x_t.
        schedule: The noise schedule it is trained on.
        prediction: What the backbone predicts: epsilon, v or x.
        loss_weight: uniform, or min_snr.
    """

    def __init__(
        self,
        backbone: nn.Module,
        schedule: NoiseSchedule,
        *,
        prediction: str,
        loss_weight: str = "uniform",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.schedule = schedule
        self.prediction = prediction
        self.loss_weight = loss_weight
        self.target, self.to_x = PREDICTIONS[prediction]

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Estimate x from x_t; float32, [B, C, H, W]."""
        out = self.backbone(x_t, t, label).float()
        return self.to_x(out, x_t, *self.schedule.at(t))

    def around(self, backbone: nn.Module) -> "Denoiser":
        """Return a denoiser like this one around another backbone; itself, around its own."""
        if backbone is self.backbone:
            return self
        return Denoiser(
            backbone, self.schedule, prediction=self.prediction, loss_weight=self.loss_weight
        )

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """Return each picture's weighted mean squared error in the backbone's own terms, [B]."""
        alpha, sigma = self.schedule.at(t)
        out = self.backbone(alpha * x + sigma * noise, t, label).float()
        error = (out - self.target(x, noise, alpha, sigma)).square()
        if self.loss_weight == "min_snr":
            error = error * min_snr_weight(self.schedule.snr(t), self.prediction)
        return error.flatten(1).mean(1)


def clipped(denoise: Denoise) -> Denoise:
    """Hold every estimate inside the pixel range [-1, 1]."""

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return denoise(x_t, t, label).clamp(-1, 1)

    return estimate
