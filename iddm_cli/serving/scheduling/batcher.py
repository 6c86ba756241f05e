"""Continuous batching: pictures of many requests advance together, each by its own next step.

A picture joins the batch at any step and leaves it after its own last one; those beside it may be
at other steps, of other samplers, of other classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import TypeVar

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise, clipped
from iddm_cli.diffusion.guidance import guided_each
from iddm_cli.diffusion.samplers import Steps, advance
from iddm_cli.engine import randomness

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Plan:
    """How a picture is drawn.

    Attributes:
        steps: A sampler's steps.
        label: Its class; the one that means "no label" for none.
        seed: Decides the noise, together with the picture's index.
        guidance: Classifier-free guidance weight.
    """

    steps: Steps
    label: int
    seed: int
    guidance: float


class Drawing:
    """A picture on its way from noise.

    Attributes:
        done: Steps taken.
        x_t: Where the next step starts, [C, H, W]; None before the first.
        estimate: What the denoiser said last, [C, H, W].

    Args:
        plan: How it is drawn.
        index: Its index.
    """

    def __init__(self, plan: Plan, index: int) -> None:
        self.plan = plan
        self.index = index
        self.done = 0
        self.x_t: Tensor | None = None
        self.estimate: Tensor | None = None

    @property
    def finished(self) -> bool:
        """Whether all steps are taken."""
        return self.done == len(self.plan.steps)

    @property
    def time(self) -> int:
        """The time at which the next step starts."""
        return self.plan.steps.times[self.done]

    def begin(self, shape: tuple[int, int, int], device: torch.device) -> None:
        """Start from this picture's noise, unless it has begun."""
        if self.x_t is None:
            self.x_t = self.estimate = self._noise("sample", 0, shape, device)

    def move(self, x_t: Tensor, estimate: Tensor) -> None:
        """Take a step, given all of it but the fresh noise."""
        if self.plan.steps.adds_noise(self.done):
            noise = self._noise("sample-step", self.done, (*x_t.shape,), x_t.device)
            x_t = x_t + self.plan.steps.weights[self.done, 3].to(x_t.device) * noise
        self.x_t, self.estimate = x_t, estimate
        self.done += 1

    def _noise(
        self, purpose: str, step: int, shape: tuple[int, ...], device: torch.device
    ) -> Tensor:
        """Draw noise by itself: what others ask for cannot change its bits."""
        item = torch.tensor([self.index], device=device)
        return randomness.normal(self.plan.seed, purpose, items=item, step=step, shape=shape)[0]


@torch.inference_mode()
def step(
    denoise: Denoise,
    drawings: Sequence[Drawing],
    *,
    shape: tuple[int, int, int],
    device: torch.device,
    no_label: int,
    clip: bool,
) -> None:
    """Take the next step of each picture, all as one batch.

    Args:
        denoise: A denoiser that says the same of a picture whoever its neighbours are.
        drawings: Pictures that are not finished.
        shape: Channels, height and width of each.
        device: Where the denoiser computes.
        no_label: The label that means "no label".
        clip: Whether estimates are held inside the pixel range.
    """
    for drawing in drawings:
        drawing.begin(shape, device)
    plans = [drawing.plan for drawing in drawings]
    x_t = torch.stack([d.x_t for d in drawings if d.x_t is not None])
    before = torch.stack([d.estimate for d in drawings if d.estimate is not None])
    t = torch.tensor([drawing.time for drawing in drawings], device=device)
    label = torch.tensor([plan.label for plan in plans], device=device)
    # A picture without label has nothing to follow: weight 1 asks for no second half.
    follow = [plan.guidance if plan.label < no_label else 1.0 for plan in plans]
    whole = guided_each(denoise, torch.tensor(follow, device=device), no_label=no_label)
    estimate = (clipped(whole) if clip else whole)(x_t, t, label)
    weights = torch.stack([d.plan.steps.weights[d.done] for d in drawings]).to(device)
    moved = advance(weights, x_t, estimate, before)
    for row, drawing in enumerate(drawings):
        drawing.move(moved[row].clone(), estimate[row].clone())


def shared_out(queues: Sequence[Iterable[Item]], most: int) -> list[Item]:
    """Take the first of each queue, then the second of each, and so on, up to `most`."""
    rounds = zip_longest(*queues)
    return list(islice((item for item in chain.from_iterable(rounds) if item is not None), most))
