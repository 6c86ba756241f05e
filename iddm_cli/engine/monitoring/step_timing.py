"""Timing of steps: how long a training step takes, from a few of them in bounded time."""

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from iddm_cli.engine.train_step import TrainStep

SECONDS = 10.0
"""How long timing may take; a single step that takes longer is still waited for."""

LEAST_STEPS, MOST_STEPS = 3, 20
"""Steps that are timed if there is time for them."""

ENOUGH_SECONDS = 2.0
"""Once LEAST_STEPS have been timed, as much time as this is enough for a median."""

GROWTH = 4
"""Factor between the numbers of images by which timing approaches the whole batch."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class StepTiming:
    """How long a training step takes.

    Attributes:
        seconds: Duration of a step of the whole batch.
        start: What the first step takes besides: code that is loaded, or compiled.
        steps: How many steps were timed, after others that were not.
        images: How many images they had; fewer than the batch has where that would take too long,
            and `seconds` is extrapolated.
    """

    seconds: float
    start: float
    steps: int
    images: int


def time_steps(
    train_step: TrainStep,
    *,
    first_step: int = 0,
    limit: float = SECONDS,
    clock: Clock = time.perf_counter,
) -> StepTiming:
    """Time the updates of a train step, which change its weights.

    The number of images grows by GROWTH up to the whole batch, as long as two more steps are
    expected to fit the limit. Compiled blocks would be compiled again for each number of images, so
    these get the whole batch at once.

    Args:
        train_step: The train step.
        first_step: The number of the first update.
        limit: Seconds that it may take.
        clock: Returns the time in seconds.
    """
    slots, end = train_step.slots, clock() + limit
    fewest = len(slots) if train_step.compiled else 1
    counter = itertools.count(first_step)

    def time_update(images: int) -> float:
        train_step.slots = slots[:images]
        started = clock()
        train_step.update(next(counter))
        synchronize(train_step.device)
        return clock() - started

    try:
        first = time_update(fewest)
        known = [(fewest, first if clock() > end else time_update(fewest))]
        start = max(0.0, first - known[0][1])
        while (images := known[-1][0]) < len(slots):
            images = min(GROWTH * images, len(slots))
            # The second number of images is worth its time: a line takes two points.
            if clock() + min(2, len(known)) * extrapolate(known, images) > end:
                break
            known.append((images, time_update(images)))
        seconds = _repeat(lambda: time_update(known[-1][0]), end, clock, known[-1][1])
    finally:
        train_step.slots = slots
    known[-1] = (known[-1][0], statistics.median(seconds))
    whole = extrapolate(known, len(slots))
    return StepTiming(whole, start, steps=len(seconds), images=known[-1][0])


def _repeat(
    time_step: Callable[[], float], end: float, clock: Clock, expected: float
) -> list[float]:
    """Return the seconds of some repetitions, or what is expected of one if there is no time."""
    seconds: list[float] = []
    while len(seconds) < MOST_STEPS and clock() + expected <= end:
        seconds.append(time_step())
        if len(seconds) >= LEAST_STEPS and sum(seconds) >= ENOUGH_SECONDS:
            break
    return seconds or [expected]


def extrapolate(known: list[tuple[int, float]], images: int) -> float:
    """Return the expected seconds of a step with so many images.

    Args:
        known: Numbers of images in ascending order, and the seconds of a step with each.
        images: A number of images.
    """
    most, seconds = known[-1]
    if len(known) == 1:
        return seconds * images / most
    less, before = known[-2]
    slope = max(0.0, seconds - before) / (most - less)
    return seconds + slope * (images - most)


def synchronize(device: torch.device) -> None:
    """Wait until a device has computed everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
