"""The denoiser: a backbone behind the one contract, `denoise(x_t, t, label) -> estimate of x`.

The backbone predicts the noise, v, or x itself; each is a linear map away from x. Nothing outside
this file depends on which it is.
"""

from collections.abc import Callable

from torch import Tensor, nn

from iddm_cli.diffusion.lookup import find_prediction
from iddm_cli.diffusion.predictions import min_snr_weight
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.profiles.choices import PredictionName
from iddm_cli.profiles.settings import LossWeightName

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`denoise(x_t [B, C, H, W], t [B], label [B])` returns an estimate of x, [B, C, H, W]."""


class Denoiser(nn.Module):
    """A backbone with its noise schedule and prediction type.

    Args:
        backbone: `backbone(x_t, t, label)` returns a tensor shaped like x_t.
        schedule: The noise schedule that it is trained with.
        prediction: What the backbone predicts: epsilon, v or x.
        loss_weight: uniform or min_snr.
    """

    def __init__(
        self,
        backbone: nn.Module,
        schedule: NoiseSchedule,
        *,
        prediction: PredictionName,
        loss_weight: LossWeightName = "uniform",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.schedule = schedule
        self.prediction = prediction
        self.loss_weight = loss_weight
        self._prediction = find_prediction(prediction)

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the estimate of x, float32, [B, C, H, W]."""
        unit = self.schedule.at_unit_variance(x_t, t)
        return self._prediction.to_x(self._predict(x_t, t, label, unit), *unit)

    def _predict(
        self, x_t: Tensor, t: Tensor, label: Tensor, unit: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Return the backbone's output, float32, given x_t, alpha and sigma at unit variance."""
        if self._prediction.input_scale is not None:
            x_t, alpha, sigma = unit
            x_t = x_t * self._prediction.input_scale(alpha, sigma)
        return self.backbone(x_t, t, label).float()

    def around(self, backbone: nn.Module) -> "Denoiser":
        """Return this denoiser with another backbone; itself where the backbone is its own."""
        if backbone is self.backbone:
            return self
        return Denoiser(
            backbone, self.schedule, prediction=self.prediction, loss_weight=self.loss_weight
        )

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """Return each image's weighted mean squared error of the backbone's output, [B]."""
        alpha, sigma = self.schedule.at(t)
        x_t = alpha * x + sigma * noise
        unit = self.schedule.at_unit_variance(x_t, t)
        out = self._predict(x_t, t, label, unit)
        _, alpha, sigma = unit
        error = (out - self._prediction.target(x, noise, alpha, sigma)).square()
        if self.loss_weight == "min_snr":
            error = error * min_snr_weight(self.schedule.snr(t), self._prediction)
        return error.flatten(1).mean(1)


def clip_estimates(denoise: Denoise) -> Denoise:
    """Return a denoiser whose estimates are clipped to the pixel range [-1, 1]."""

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return denoise(x_t, t, label).clamp(-1, 1)

    return estimate
