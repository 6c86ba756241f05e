"""Guidance: a denoiser around one or two denoisers, and the steps at which it applies.

Every form of it leads an estimate away from a worse one, the reference:

    guided = reference + scale * (estimate - reference)

Classifier-free guidance takes the reference from the same network without the label, autoguidance
from a weaker network with the same label. `build_step_denoiser` is the only place where networks
and settings become the denoiser of a step; the image generator, the server and the exports use it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.thresholding import bound_estimates

EvaluateBoth = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""`both(x_t, t, label, rows)` returns the estimates of all images, [B, C, H, W], and the references
of those in `rows`; None stands for all."""


@dataclass(frozen=True)
class SamplingNetworks:
    """The denoisers that the estimate of a step is made from.

    Attributes:
        main: The denoiser that generates.
        no_label: The label that means "no label".
        weaker: The weaker denoiser of autoguidance; None: guidance is classifier-free.
    """

    main: Denoise
    no_label: int
    weaker: Denoise | None = None

    def limit_scale(self, scale: float | Tensor, label: Tensor) -> float | Tensor:
        """Return the guidance scale of each image; 1 where there is nothing to guide it away from.

        Args:
            scale: The scale asked for: a number, or that of each image, [B].
            label: The label of each image, [B].
        """
        if self.weaker is not None:
            return scale
        return torch.where(label < self.no_label, scale, 1.0)


def build_step_denoiser(
    networks: SamplingNetworks,
    *,
    scale: float | Tensor,
    rescale: float | Tensor = 0.0,
    threshold: float | Sequence[float] = 0.0,
    clip: bool = True,
) -> Denoise:
    """Return the denoiser of a step: guided, rescaled, then clipped or thresholded.

    Args:
        networks: The denoisers.
        scale: Guidance scale, see `guide`; 1 where guidance does not apply.
        rescale: Share of the rescaled estimate in [0, 1], or that of each image, [B].
        threshold: Share of dynamic thresholding, or that of each image; 0 disables it.
        clip: Whether estimates without dynamic thresholding are clipped to [-1, 1].
    """
    guided = guide(
        networks.main, scale, no_label=networks.no_label, weaker=networks.weaker, rescale=rescale
    )
    return bound_estimates(guided, threshold, clip=clip)


def guide(
    denoise: Denoise,
    scale: float | Tensor,
    *,
    no_label: int,
    weaker: Denoise | None = None,
    rescale: float | Tensor = 0.0,
) -> Denoise:
    """Return a denoiser with classifier-free guidance, or with autoguidance.

    Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598): the estimate is uncond +
    scale * (cond - uncond). Scale 1 disables guidance, 0 ignores the label; the paper's w is our
    scale - 1 (its eq. 6). Both halves go through the network as one batch.

    Autoguidance (Karras et al. 2024, arXiv:2406.02507, eq. 3): the estimate is weaker + scale *
    (main - weaker), both with the same label. It takes the place of classifier-free guidance.

    Guiding estimates of x or of the noise is the same, each being linear in the other.

    Args:
        denoise: The denoiser that generates.
        scale: Guidance scale, 0 or more: a number, or a tensor, [], in exports that take it as an
            input; or that of each image, [B], where only those whose scale is not 1 have a
            reference evaluated.
        no_label: The label that means "no label".
        weaker: The weaker denoiser of autoguidance.
        rescale: See `rescale_estimates`: a number, or that of each image, [B].
    """
    both = _with_unlabelled(denoise, no_label) if weaker is None else _with_weaker(denoise, weaker)
    if not isinstance(scale, Tensor) or scale.dim() == 0:
        unguided = not isinstance(scale, Tensor) and scale == 1
        return denoise if unguided else _guide_rows(both, scale, None, rescale)
    rows = (scale != 1).nonzero().flatten()
    if len(rows) == 0:
        return denoise
    if isinstance(rescale, Tensor):
        rescale = rescale[rows]
    return _guide_rows(both, scale[rows].view(-1, 1, 1, 1), rows, rescale)


def _with_unlabelled(denoise: Denoise, no_label: int) -> EvaluateBoth:
    """Return the estimates with and without labels, computed as one batch."""

    def both(x_t: Tensor, t: Tensor, label: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        again = [x_t, t] if rows is None else [x_t[rows], t[rows]]
        labels = torch.cat([label, torch.full_like(again[1], no_label)])
        estimates = denoise(torch.cat([x_t, again[0]]), torch.cat([t, again[1]]), labels)
        count = x_t.shape[0]  # len() would fix the batch size of an exported program
        return estimates[:count], estimates[count:]

    return both


def _with_weaker(denoise: Denoise, weaker: Denoise) -> EvaluateBoth:
    """Return the estimates of two denoisers."""

    def both(x_t: Tensor, t: Tensor, label: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        inputs = (x_t, t, label) if rows is None else (x_t[rows], t[rows], label[rows])
        return denoise(x_t, t, label), weaker(*inputs)

    return both


def _guide_rows(
    both: EvaluateBoth, scale: float | Tensor, rows: Tensor | None, rescale: float | Tensor
) -> Denoise:
    """Return a denoiser that guides some images of a batch; `rows` None stands for all."""

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        estimates, reference = both(x_t, t, label, rows)
        plain = estimates if rows is None else estimates[rows]
        guided = rescale_estimates(reference + scale * (plain - reference), plain, rescale)
        return guided if rows is None else estimates.index_copy(0, rows, guided)

    return estimate


def rescale_estimates(guided: Tensor, plain: Tensor, share: float | Tensor) -> Tensor:
    """Return guided estimates with the contrast of those without guidance, or a mixture of both.

    Rescaled guidance (Lin et al. 2024, arXiv:2305.08891, eq. 15 and 16): the guided output is
    multiplied by std(plain) / std(guided), each over all values of an image, and mixed with what it
    was. The paper rescales what its network predicts, v, which is -x at the first step. Here it is
    the estimate of x whatever the network predicts: guidance with large scales makes its contrast
    too high, while predicted noise has a deviation of about 1 with and without guidance.

    Args:
        guided: Guided estimates, [B, C, H, W].
        plain: The estimates before guidance, of the same shape.
        share: Share of the rescaled estimate in [0, 1]: a number, or that of each image, [B]. 0
            changes no bit.
    """
    if not isinstance(share, Tensor):
        if share == 0:
            return guided
        share = guided.new_full((1,), share)  # no constant, which torch.export cannot branch on
    share = share.view(-1, 1, 1, 1)
    deviation = _deviation_of_images(guided)
    # An image of one colour has no contrast to restore.
    ratio = torch.where(deviation > 0, _deviation_of_images(plain) / deviation, 1.0)
    return guided * (share * ratio + (1 - share))


def _deviation_of_images(x: Tensor) -> Tensor:
    """Return the standard deviation of the values of each image, [B, 1, 1, 1]."""
    values = x.flatten(1)
    count = values.shape[1]
    centred = values - _sum_by_halves(values) / count
    return (_sum_by_halves(centred.square()) / count).sqrt().view(-1, 1, 1, 1)


def _sum_by_halves(values: Tensor) -> Tensor:
    """Return the sum of each row, [B, N] to [B, 1].

    Only elementwise additions: a reduction's order of summation depends on the size of the batch,
    and an image must not (`engine.reduced_precision.batch_invariant`).
    """
    while (count := values.shape[1]) > 1:
        half = count // 2
        halves = values[:, :half] + values[:, half : 2 * half]
        values = torch.cat([halves, values[:, 2 * half :]], dim=1) if count % 2 else halves
    return values


def find_guided_steps(
    schedule: NoiseSchedule, times: Sequence[int], interval: Sequence[float]
) -> list[bool]:
    """Return whether guidance applies at each solver step.

    Guidance is applied in an interval of noise levels only (Kynkäänniemi et al. 2024,
    arXiv:2404.07724, eq. 6): it harms at high levels and changes little at low ones, and elsewhere
    the network is evaluated once. The level is the share of the noise, sigma / sqrt(alpha^2 +
    sigma^2), so that an interval means the same for every noise schedule; the paper's sigma, of
    EDM's schedule with alpha = 1, is the share sigma / sqrt(1 + sigma^2).

    Args:
        schedule: The noise schedule.
        times: The time that each step starts from, indices into the schedule.
        interval: Lowest and highest share, both inclusive; [0, 1] contains every step.
    """
    low, high = interval
    levels = schedule.levels_at(times)
    share = levels.sigma / torch.hypot(levels.alpha, levels.sigma)
    return ((share.clamp(max=1) >= low) & (share.clamp(max=1) <= high)).tolist()
