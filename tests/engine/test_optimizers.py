"""Optimizers: one update of one weight, by hand."""

import pytest
import torch

from iddm_cli.engine.optimizers import OPTIMIZERS, build_optimizer, lr_at
from iddm_cli.profiles.settings import TrainingSettings


def after_one_update(gradient: float, **settings) -> float:
    """Return what a weight of 1 becomes."""
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(1.0)
    optimizer = build_optimizer(module, TrainingSettings(**settings))
    module.weight.grad = torch.full((1, 1), gradient)
    optimizer.step()
    return float(module.weight.detach())


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_first_update_is_lr_long_whatever_the_gradient(name):
    for gradient in (0.01, 3.0, 500.0):
        assert after_one_update(gradient, optimizer=name, lr=0.1) == pytest.approx(0.9, abs=1e-5)


def test_adamw_shrinks_weights_and_adam_adds_the_decay_to_the_gradient():
    common = {"lr": 0.1, "weight_decay": 0.5}
    # Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2: w - lr * decay * w.
    assert after_one_update(0.0, optimizer="adamw", **common) == pytest.approx(0.95, abs=1e-5)
    # As L2 penalty the decay is the whole gradient, and a first update is lr long.
    assert after_one_update(0.0, optimizer="adam", **common) == pytest.approx(0.9, abs=1e-5)


def test_a_running_mean_forgets_by_its_beta():
    module = torch.nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(module, TrainingSettings(betas=[0.75, 0.5]))
    for gradient in (4.0, 8.0):
        module.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    state = optimizer.state[module.weight]
    # (1 - beta) of the new, beta of the old: 0.25 * 4 = 1, then 0.75 * 1 + 0.25 * 8.
    assert float(state["exp_avg"]) == pytest.approx(2.75)
    assert float(state["exp_avg_sq"]) == pytest.approx(0.5 * (0.5 * 16) + 0.5 * 64)


@pytest.mark.parametrize(
    ("settings", "total", "wanted"),
    [
        ({"lr_schedule": "constant"}, 10, {0: 1.0, 9: 1.0}),
        ({"lr_schedule": "constant", "warmup_steps": 4}, 10, {0: 0.25, 3: 1.0, 4: 1.0}),
        ({"lr_schedule": "linear"}, 10, {0: 1.0, 5: 0.5, 9: 0.1}),
        ({"lr_schedule": "linear", "lr_final": 0.2}, 10, {0: 1.0, 5: 0.6}),
        ({"lr_schedule": "cosine"}, 8, {0: 1.0, 2: 0.853553, 4: 0.5, 6: 0.146447}),
        ({"lr_schedule": "cosine", "warmup_steps": 2}, 10, {0: 0.5, 1: 1.0, 2: 1.0, 6: 0.5}),
        ({"lr_schedule": "warmup_cosine"}, 200, {0: 0.1, 9: 1.0, 10: 1.0, 105: 0.5}),
        ({"lr_schedule": "warmup_cosine", "warmup_steps": 2}, 10, {0: 0.5, 6: 0.5}),
    ],
    ids=str,
)
def test_learning_rates_are_as_computed_by_hand(settings, total, wanted):
    chosen = TrainingSettings(lr=1.0, **settings)
    assert {step: lr_at(chosen, step, total) for step in wanted} == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_their_settings(name):
    settings = TrainingSettings(optimizer=name, weight_decay=0.1, betas=[0.8, 0.9])
    optimizer = build_optimizer(torch.nn.Linear(2, 2), settings)
    group = optimizer.param_groups[0]
    assert (group["weight_decay"], tuple(group["betas"]), group["fused"]) == (0.1, (0.8, 0.9), True)
