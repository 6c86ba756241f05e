"""EMA: the recursion by hand, its warm-up, and the buffers."""

import pytest
import torch

from iddm_cli.engine.ema import EMA, warmed_decay


def test_the_average_is_the_recursion_by_hand():
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    average = EMA(module, decay=0.5)
    mean = 0.0
    for step in range(1, 20):
        module.weight.data.fill_(float(step))
        average.update(module, step, torch.ones(()))
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * step
        assert float(average.module.weight) == pytest.approx(mean, rel=1e-5)
    assert float(module.weight.detach()) == 19, "the original is left alone"


def test_the_averages_window_is_at_most_a_tenth_of_the_run():
    decays = [warmed_decay(0.9999, step) for step in range(1, 10_000)]
    assert decays == sorted(decays)
    assert all(1 / (1 - decay) <= max(2, step / 9 + 2) for step, decay in enumerate(decays, 1))
    assert warmed_decay(0.9, 10**6) == 0.9


def test_buffers_are_copied_not_averaged():
    module = torch.nn.BatchNorm1d(1)
    average = EMA(module, decay=0.9)
    module.running_mean.fill_(7.0)
    average.update(module, 1, torch.ones(()))
    assert average.module.running_mean == 7


def test_another_original_is_followed_from_its_first_update_on():
    first, second = (torch.nn.Linear(1, 1, bias=False) for _ in range(2))
    average = EMA(first, decay=0.5)
    for module, value in ((first, 1.0), (second, 9.0)):
        module.weight.data.fill_(value)
    average.module.weight.data.fill_(1.0)
    for module in (first, second):
        average.update(module, 100, torch.ones(()))
    assert float(average.module.weight) == 5.0
