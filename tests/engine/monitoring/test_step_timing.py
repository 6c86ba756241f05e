"""Timing of steps: the whole batch where it fits the time, else an extrapolation."""

import pytest
import torch

from iddm_cli.engine.monitoring import step_timing
from iddm_cli.engine.monitoring.step_timing import LEAST_STEPS, extrapolate, time_steps
from tests.engine.test_trainer import make


class SlowStep:
    """A train step that takes 0.1 s and `seconds` for each image, by a clock of its own."""

    device = torch.device("cpu")
    compiled = None

    def __init__(self, seconds: float, batch: int, start: float = 0.0) -> None:
        self.seconds = seconds
        self.slots = torch.arange(batch)
        self.start = start
        self.now = 0.0
        self.steps: list[int] = []

    def update(self, step: int) -> None:
        assert step == len(self.steps), "each step has a number of its own"
        self.steps.append(len(self.slots))
        self.now += 0.1 + self.seconds * len(self.slots) + (self.start if step == 0 else 0)

    def time(self, limit: float = 10.0):
        return time_steps(self, limit=limit, clock=lambda: self.now)


def test_a_quick_step_is_timed_with_the_whole_batch():
    step = SlowStep(0.01, 64, start=2.0)
    timing = step.time()
    assert timing.images == 64
    assert timing.steps >= LEAST_STEPS
    assert timing.seconds == pytest.approx(0.74)
    assert timing.start == pytest.approx(2.0)
    assert step.now <= 10
    assert len(step.slots) == 64, "the train step is left as it was"


@pytest.mark.parametrize("seconds", [0.1, 0.4, 1.0])
def test_a_slow_step_is_extrapolated_within_the_time(seconds):
    step = SlowStep(seconds, 128)
    timing = step.time()
    assert timing.images < 128
    assert timing.steps >= 1
    assert timing.seconds == pytest.approx(0.1 + 128 * seconds)
    assert step.now <= 10


def test_one_image_that_takes_too_long_ends_the_timing():
    step = SlowStep(60.0, 8)
    timing = step.time()
    assert step.steps == [1]
    assert timing.seconds == pytest.approx(8 * 60.1)


def test_compiled_blocks_see_the_whole_batch_alone():
    step = SlowStep(0.01, 64, start=60.0)
    step.compiled = object()
    timing = step.time(limit=100)
    assert set(step.steps) == {64}
    assert timing.start == pytest.approx(60)
    assert timing.seconds == pytest.approx(0.74)


def test_extrapolation_is_a_line_through_the_last_two():
    assert extrapolate([(1, 2.0)], 8) == 16
    assert extrapolate([(1, 9.0), (2, 3.0), (4, 5.0)], 8) == 9
    assert extrapolate([(2, 5.0), (4, 4.0)], 8) == 4, "noise makes no step shorter"


def test_a_train_step_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(step_timing, "ENOUGH_SECONDS", 0.0)
    train_step = make(tmp_path).train_step
    timing = time_steps(train_step, limit=100)
    assert timing.seconds > 0
    assert (timing.images, timing.steps) == (len(train_step.slots), LEAST_STEPS)
