"""Continuous batching: samples of many requests share a batch, each at its own solver step.

A sample can join the batch at any step and leaves it after its own last step. The others in the
batch may be at other steps and use other samplers, classes and guidance scales, but have the same
size.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Generic, TypeVar

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import condition_on
from iddm_cli.diffusion.guidance import SamplingNetworks, build_step_denoiser
from iddm_cli.diffusion.solver_table import SolverTable, advance
from iddm_cli.engine import randomness
from iddm_cli.engine.sampling.image_condition import ConditionSource
from iddm_cli.engine.sampling.sample_noise import PURPOSE, own_noise_index

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """How the images of one request are sampled.

    Attributes:
        table: The sampler's solver table.
        shape: Channels, height and width of what noise is added to: an image, or its latent.
        label: The class label, or the "no label" index.
        seed: The random seed; together with a sample's index it determines the noise.
        guidance: Guidance scale; 1 disables guidance.
        guided_steps: Whether guidance applies at each solver step.
        rescale: Share of rescaled guidance.
        threshold: Share of dynamic thresholding; 0: none.
        own_noise: Whether each class has its own noise, so that the label matters as well.
        condition: What decides the condition channels of each sample; None: the network has none.
        noise_index: Noise index of the only sample; None: that of each follows from its index.
        image_size: Height and width of an image, where that is padded for the network.
    """

    table: SolverTable
    shape: tuple[int, int, int]
    label: int
    seed: int
    guidance: float
    guided_steps: Sequence[bool]
    rescale: float = 0.0
    threshold: float = 0.0
    own_noise: bool = False
    condition: ConditionSource | None = None
    noise_index: int | None = None
    image_size: tuple[int, int] | None = None

    @property
    def purpose(self) -> str:
        """Purpose of the noise, see `randomness`."""
        return PURPOSE if self.condition is None else self.condition.purpose

    def find_noise_index(self, index: int) -> int:
        """Return the noise index of the sample of an index."""
        if self.noise_index is not None:
            return self.noise_index
        return own_noise_index(self.label, index) if self.own_noise else index

    def crop(self, image: Tensor) -> Tensor:
        """Return an image, [C, H, W], without what it was padded with for the network."""
        if self.image_size is None:
            return image
        height, width = self.image_size
        return image[:, :height, :width]

    def scale_at(self, step: int) -> float:
        """Return the guidance scale of a solver step; 1 outside the guidance interval."""
        return self.guidance if self.guided_steps[step] else 1.0


class InFlightSample:
    """An image between its initial noise and its last solver step.

    Attributes:
        steps_done: Solver steps taken so far.
        x_t: Input of the next step, [C, H, W]; None before the first step.
        condition: What the network reads beside x_t, [N, H, W]: the coordinates of its pixels in a
            whole image, or the smaller image that is upscaled; None before the first step, or where
            the network reads x_t alone.
        denoised: The denoiser's newest estimate of x, [C, H, W]; None before the first step.
        previous: What the newest steps kept, as many as the sampler uses again, the newest first.

    Args:
        plan: How it is sampled.
        index: Its index within the request.
    """

    def __init__(self, plan: SamplePlan, index: int) -> None:
        self.plan = plan
        self.index = index
        self.steps_done = 0
        self.x_t: Tensor | None = None
        self.condition: Tensor | None = None
        self.denoised: Tensor | None = None
        self.previous: deque[Tensor] = deque(maxlen=plan.table.history)

    @property
    def finished(self) -> bool:
        """Whether all solver steps are done."""
        return self.steps_done == len(self.plan.table)

    @property
    def time(self) -> int:
        """The time from which the next step starts, an index into the noise schedule."""
        return self.plan.table.times[self.steps_done]

    def start(self, device: torch.device) -> None:
        """Set x_t to the initial noise, and its condition, unless the sample has started already.

        They are computed alone, so that no other sample affects them.
        """
        if self.x_t is not None:
            return
        plan = self.plan
        self.x_t = self._noise(plan.purpose, 0, plan.shape, device)
        if plan.condition is not None:
            size = plan.shape[1], plan.shape[2]
            items = [plan.find_noise_index(self.index)]
            self.condition = plan.condition.build_condition(items, plan.seed, size, device)[0]

    def release(self) -> None:
        """Drop the tensors of a sample that has taken its last step."""
        self.x_t = self.condition = self.denoised = None
        self.previous.clear()

    def complete_step(self, x_t: Tensor, denoised: Tensor) -> None:
        """Finish a solver step: add the sampler's noise to `x_t` and store the result.

        Args:
            x_t: The step's output without its noise, [C, H, W].
            denoised: The estimate of x that the step used, [C, H, W].
        """
        table = self.plan.table
        assert self.x_t is not None, "the sample has started"
        self.previous.appendleft(table.keep(self.steps_done, self.x_t, denoised))
        if self.steps_done in table.noisy_steps:
            purpose = f"{self.plan.purpose}-step"
            noise = self._noise(purpose, self.steps_done, (*x_t.shape,), x_t.device)
            x_t = x_t + table.coefficients[self.steps_done, -1].to(x_t.device) * noise
        self.x_t, self.denoised = x_t, denoised
        self.steps_done += 1

    def _noise(
        self, purpose: str, step: int, shape: tuple[int, ...], device: torch.device
    ) -> Tensor:
        """Return this sample's noise, generated on its own so that no other sample affects it."""
        item = torch.tensor([self.plan.find_noise_index(self.index)], device=device)
        return randomness.normal(self.plan.seed, purpose, items=item, step=step, shape=shape)[0]


@torch.inference_mode()
def take_step(
    networks: SamplingNetworks,
    samples: Sequence[InFlightSample],
    *,
    device: torch.device,
    clip: bool,
) -> None:
    """Take the next solver step of each sample, all in one batch.

    Args:
        networks: Batch-invariant denoisers, see `BatchInvariantDenoiser`.
        samples: Unfinished samples of one size.
        device: The denoisers' device.
        clip: Whether to clip estimates of x to the pixel range.
    """
    for sample in samples:
        sample.start(device)
    x_t = torch.stack([sample.x_t for sample in samples if sample.x_t is not None])
    t = torch.tensor([sample.time for sample in samples], device=device)
    label = torch.tensor([sample.plan.label for sample in samples], device=device)
    plans = [sample.plan for sample in samples]
    scale = torch.tensor([s.plan.scale_at(s.steps_done) for s in samples], device=device)
    denoise = build_step_denoiser(
        networks,
        scale=networks.limit_scale(scale, label),
        rescale=torch.tensor([plan.rescale for plan in plans], device=device),
        threshold=[plan.threshold for plan in plans],
        clip=clip,
    )
    conditions = [sample.condition for sample in samples if sample.condition is not None]
    denoise = condition_on(denoise, torch.stack(conditions) if conditions else None)
    denoised = denoise(x_t, t, label)
    coefficients = torch.stack([s.plan.table.coefficients[s.steps_done] for s in samples])
    x_next = advance(coefficients.to(device), x_t, denoised, _stack_previous(samples, x_t))
    for row, sample in enumerate(samples):
        sample.complete_step(x_next[row].clone(), denoised[row].clone())


def _stack_previous(samples: Sequence[InFlightSample], like: Tensor) -> list[Tensor]:
    """Return what the samples' earlier steps kept, the newest first, each [B, C, H, W].

    Samples that keep fewer than others have zeros there, and coefficients of zero: adding 0 * 0
    changes no number.
    """
    count = max(len(sample.previous) for sample in samples)
    zeros = torch.zeros_like(like[0])
    return [
        torch.stack([s.previous[j] if j < len(s.previous) else zeros for s in samples])
        for j in range(count)
    ]


def round_robin(queues: Sequence[Iterable[Item]], limit: int) -> list[Item]:
    """Return up to `limit` items: the first of each queue, then the second of each, and so on."""
    rounds = zip_longest(*queues)
    return list(islice((item for item in chain.from_iterable(rounds) if item is not None), limit))


class TurnOrder(Generic[Item]):
    """Whose turn it is among some that change: of the one that waits longest."""

    def __init__(self) -> None:
        self._waiting: list[Item] = []

    def choose(self, items: Iterable[Item]) -> Item:
        """Return the next of some items, at least one; a new one waits for all others."""
        present = list(dict.fromkeys(items))
        waiting = [item for item in self._waiting if item in present]
        first, *rest = [*waiting, *(item for item in present if item not in waiting)]
        self._waiting = [*rest, first]
        return first
