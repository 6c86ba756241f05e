"""Consistency tuning: a denoiser learns to jump to the end of the path that its teacher walks.

A consistency function f(x_t, t) returns, for every point of a path of the probability flow ODE, the
same clean image: the end of the path. A denoiser almost is one at low noise, and turns into one
where its estimates at two neighbouring times of a path are made equal (Easy Consistency Tuning,
Geng et al. 2024, arXiv:2406.14548). At first the earlier time is far away, often the clean end,
where the loss is the denoising loss; stage by stage it moves closer.

Two points of a path are linked by the data, x and noise, or by a step of the frozen teacher with
guidance, which folds guidance into the student: one pass then does the work of two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise, Denoiser, clip_estimates, condition_on
from iddm_cli.diffusion.guidance import (
    SamplingNetworks,
    build_step_denoiser,
    find_guided_steps,
)
from iddm_cli.diffusion.lookup import find_prediction
from iddm_cli.diffusion.schedules import CLEAN, NoiseSchedule

LARGEST_LEVEL = 80.0
"""Largest sigma / alpha, that of EDM (arXiv:2206.00364, table 1); times beyond it count as equal.

Nothing of the image is left there, and steps between such times would only lengthen the path."""

GAP, GAP_AT_LOW_NOISE = 2.0, 8.0
"""q and k of the paper: each stage divides the gap by q; at low noise it is up to 1 + k / 2 times
as wide."""

HUBER = 0.05
"""c of the pseudo-Huber loss, for the root of the mean square of an image's error.

Song & Dhariwal 2023 (arXiv:2310.14189, section 3.3) take 0.00054 for trainings a thousand times as
long. There the gradient of a tiny error at low noise is as large as that of any other, which in a
short training adds noise; see docs/distilling.md for what was measured."""


@dataclass(frozen=True)
class GuidedTeacher:
    """A frozen denoiser whose guided estimates link the points of a path.

    Attributes:
        denoiser: The denoiser.
        guidance: Classifier-free guidance scale.
        no_label: The label that means "no label".
        clip: Whether estimates are clipped to the pixel range, as in sampling.
        interval: Noise levels with guidance, see `find_guided_steps`.
        rescale: Share of rescaled guidance, see `rescale_estimates`.
    """

    denoiser: Denoiser
    guidance: float
    no_label: int
    clip: bool = True
    interval: Sequence[float] = (0.0, 1.0)
    rescale: float = 0.0

    def denoise(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return guided estimates of x, [B, C, H, W]; the time of each may lie in the interval."""
        denoise = build_step_denoiser(
            SamplingNetworks(self.denoiser, self.no_label),
            scale=self.guidance if self._scales is None else self._scales[t],
            rescale=self.rescale,
            clip=self.clip,
        )
        return denoise(x_t, t, label)

    @cached_property
    def guided_share(self) -> float:
        """The share of the times at which guidance applies."""
        return 1.0 if self._scales is None else float((self._scales != 1).float().mean())

    @cached_property
    def _scales(self) -> Tensor | None:
        """The guidance scale at each time, [T]; None: the same at all."""
        schedule = self.denoiser.schedule
        guided = find_guided_steps(schedule, range(len(schedule)), self.interval)
        if all(guided):
            return None
        applies = torch.tensor(guided, device=schedule.alpha.device)
        return torch.where(applies, self.guidance, 1.0)


class ConsistencyObjective:
    """The loss of consistency tuning.

    Args:
        teacher: Links the points of a path; None: the data does, without guidance.
        stage_steps: Steps after which the gap between the two times is halved, 1 or more.
        clip: Whether target estimates are clipped to the pixel range, as in sampling.
    """

    def __init__(
        self, teacher: GuidedTeacher | None, *, stage_steps: int, clip: bool = True
    ) -> None:
        self.teacher = teacher
        self.stage_steps = stage_steps
        self.clip = clip
        self._stage = 0
        self._earlier = torch.empty(0)

    @property
    def extra_passes(self) -> float:
        """Forward passes of each image besides the one that is trained: target, and teacher."""
        return 1 if self.teacher is None else 2 + self.teacher.guided_share

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
        """Return the loss of each image, [B] (arXiv:2406.14548, eq. 9 and 13)."""
        schedule = denoiser.schedule
        alpha, sigma = schedule.at(t)
        x, condition = denoiser.split_condition(x)
        x_t = alpha * x + sigma * noise
        # With autocast, the pass with gradients must come first: it caches the rounded weights.
        estimate = condition_on(denoiser, condition)(x_t, t, label)
        with torch.no_grad():
            r = self._earlier_times(schedule, 1 + step // self.stage_steps)[t]
            x_r = self._move(schedule, x, noise, x_t, t, r, label, condition)
            wanted = self._estimate_end(condition_on(target, condition), x_r, r, label)
        return weigh_output(denoiser, t) * pseudo_huber(estimate - wanted)

    def _earlier_times(self, schedule: NoiseSchedule, stage: int) -> Tensor:
        """Return the earlier time that belongs to each time, [T], on the schedule's device."""
        if stage != self._stage:
            self._earlier = pair_times(schedule, stage).to(schedule.alpha.device)
            self._stage = stage
        return self._earlier

    def _move(
        self,
        schedule: NoiseSchedule,
        x: Tensor,
        noise: Tensor,
        x_t: Tensor,
        t: Tensor,
        r: Tensor,
        label: Tensor,
        condition: Tensor | None,
    ) -> Tensor:
        """Return the point of each path at time r, [B, C, H, W].

        With a teacher it is a step of DDIM (consistency distillation, Song et al. 2023,
        arXiv:2303.01469, algorithm 2; with guidance Luo et al. 2023, arXiv:2310.04378, eq. 14).
        """
        if self.teacher is not None:
            alpha, sigma = schedule.at(t)
            x = condition_on(self.teacher.denoise, condition)(x_t, t, label)
            noise = (x_t - alpha * x) / sigma
        alpha, sigma = schedule.at(r)
        return alpha * x + sigma * noise

    def _estimate_end(self, target: Denoise, x_r: Tensor, r: Tensor, label: Tensor) -> Tensor:
        """Return the end of each path as the target estimates it; it knows that of the clean end.

        A denoiser needs no other boundary condition: at the lowest times every prediction type
        leaves x_t as it is, up to sigma.
        """
        denoise = clip_estimates(target) if self.clip else target
        is_clean = (r == CLEAN).view(-1, 1, 1, 1)
        return torch.where(is_clean, x_r, denoise(x_r, r.clamp(min=0), label))


def pair_times(schedule: NoiseSchedule, stage: int) -> Tensor:
    """Return the earlier time r that belongs to each time t, [T], int64; it may be `CLEAN`.

    r / t = 1 - n(t) / q^stage with n(t) = 1 + k sigmoid(-t) (arXiv:2406.14548, section 3.2, where a
    time is the noise level sigma / alpha). r is the last entry of the schedule that is not above,
    and is always before t.

    Args:
        schedule: The noise schedule.
        stage: From 1.
    """
    level = (schedule.levels.sigma / schedule.levels.alpha).clamp(max=LARGEST_LEVEL)
    gap = (1 + GAP_AT_LOW_NOISE * torch.sigmoid(-level)) / GAP**stage
    earlier = torch.searchsorted(level, level * (1 - gap), right=True) - 1
    return torch.minimum(earlier, torch.arange(len(level)) - 1)


def weigh_output(denoiser: Denoiser, t: Tensor) -> Tensor:
    """Return the weight of each image's loss, [B]: 1, or less where the output is amplified.

    A prediction of the noise is multiplied by sigma / alpha to become an estimate of x. Without a
    weight, the few times of almost pure noise would make almost all of the gradient.
    """
    error_scale = find_prediction(denoiser.prediction).error_scale(denoiser.schedule.snr(t))
    return error_scale.sqrt().clamp(max=1).flatten()


def pseudo_huber(error: Tensor) -> Tensor:
    """Return the pseudo-Huber norm of each image's error, [B], for the mean of its squares.

    sqrt(|error|^2 + c^2) - c (Song & Dhariwal 2023, arXiv:2310.14189, eq. 8): the square for small
    errors, the norm for large ones, which keeps a few images from dominating.
    """
    mean = error.flatten(1).square().mean(1)
    return (mean + HUBER**2).sqrt() - HUBER
