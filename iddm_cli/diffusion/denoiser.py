"""The denoiser: a backbone behind the one contract, `denoise(x_t, t, label) -> estimate of x`.

The backbone predicts the noise, v, or x itself; each is a linear map away from x. Nothing outside
this file depends on which it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from iddm_cli.diffusion.lookup import find_prediction
from iddm_cli.diffusion.losses import LOSS_WEIGHTS, LOSSES
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.profiles.choices import PredictionName
from iddm_cli.profiles.settings import LossName, LossWeightName

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`denoise(x_t [B, C, H, W], t [B], label [B])` returns an estimate of x, [B, C, H, W].

Where a network has condition channels, they follow those of the image in x_t, [B, C + N, H, W]: so
whatever cuts, repeats or joins batches takes each image's condition along.
"""


class Denoiser(nn.Module):
    """A backbone with its noise schedule and prediction type.

    Args:
        backbone: `backbone(x_t, t, label)` returns a tensor shaped like x_t.
        schedule: The noise schedule that it is trained with.
        prediction: What the backbone predicts: epsilon, v or x.
        loss_weight: How much the error of each noise level counts: uniform, min_snr or p2.
        loss: How an error counts: mse or huber.
        condition_channels: Channels that follow those of the image in x and x_t, which the backbone
            reads, and which have neither noise nor an estimate.
    """

    def __init__(
        self,
        backbone: nn.Module,
        schedule: NoiseSchedule,
        *,
        prediction: PredictionName,
        loss_weight: LossWeightName = "uniform",
        loss: LossName = "mse",
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.schedule = schedule
        self.prediction = prediction
        self.loss_weight = loss_weight
        self.loss_name = loss
        self.condition_channels = condition_channels
        self._prediction = find_prediction(prediction)

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the estimate of x, float32, [B, C, H, W]."""
        x_t, condition = self.split_condition(x_t)
        unit = self.schedule.at_unit_variance(x_t, t)
        return self._prediction.to_x(self._predict(x_t, t, label, unit, condition), *unit)

    def split_condition(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return images, [B, C, H, W], and their condition channels; None: there are none."""
        if not self.condition_channels:
            return x, None
        channels = x.shape[1] - self.condition_channels
        return x[:, :channels], x[:, channels:]

    def _predict(
        self,
        x_t: Tensor,
        t: Tensor,
        label: Tensor,
        unit: tuple[Tensor, Tensor, Tensor],
        condition: Tensor | None,
    ) -> Tensor:
        """Return the backbone's output, float32, given x_t, alpha and sigma at unit variance."""
        if self._prediction.input_scale is not None:
            x_t, alpha, sigma = unit
            x_t = x_t * self._prediction.input_scale(alpha, sigma)
        if condition is not None:
            x_t = torch.cat([x_t, condition], dim=1)
        return self.backbone(x_t, t, label).float()

    def around(self, backbone: nn.Module) -> "Denoiser":
        """Return this denoiser with another backbone; itself where the backbone is its own."""
        if backbone is self.backbone:
            return self
        return Denoiser(
            backbone,
            self.schedule,
            prediction=self.prediction,
            loss_weight=self.loss_weight,
            loss=self.loss_name,
            condition_channels=self.condition_channels,
        )

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """Return each image's weighted mean error of the backbone's output, [B].

        Args:
            x: Images, [B, C, H, W], followed by their condition channels.
            t: Times, [B].
            noise: Standard normal noise, [B, C, H, W].
            label: Labels, [B].
        """
        x, condition = self.split_condition(x)
        alpha, sigma = self.schedule.at(t)
        x_t = alpha * x + sigma * noise
        unit = self.schedule.at_unit_variance(x_t, t)
        out = self._predict(x_t, t, label, unit, condition)
        _, alpha, sigma = unit
        error = LOSSES[self.loss_name](out - self._prediction.target(x, noise, alpha, sigma))
        weigh = LOSS_WEIGHTS[self.loss_weight]
        if weigh is not None:
            error = error * weigh(self.schedule.snr(t), self._prediction)
        return error.flatten(1).mean(1)


def clip_estimates(denoise: Denoise) -> Denoise:
    """Return a denoiser whose estimates are clipped to the pixel range [-1, 1]."""

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return denoise(x_t, t, label).clamp(-1, 1)

    return estimate


def condition_on(denoise: Denoise, condition: Tensor | None) -> Denoise:
    """Return a denoiser of x_t alone, whose network also reads some condition channels.

    Args:
        denoise: A denoiser of images that are followed by their condition channels.
        condition: The condition channels of a batch, [B, N, H, W]; None: the network has none.
    """
    if condition is None:
        return denoise

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return denoise(torch.cat([x_t, condition], dim=1), t, label)

    return estimate
