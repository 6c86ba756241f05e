"""Optimizers: one update of one weight, by hand."""

import pytest
import torch

from iddm_cli.engine.optimizers import (
    OPTIMIZERS,
    build_optimizer,
    clip_gradients,
    list_lr_phases,
    lr_at,
)
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


DECAYS = [
    {"lr_schedule": "cosine"},
    {"lr_schedule": "cosine", "lr_final": 0.1},
    {"lr_schedule": "linear", "warmup_steps": 5},
    {"lr_schedule": "warmup_cosine"},
]


@pytest.mark.parametrize("schedule", DECAYS, ids=str)
def test_an_extension_changes_no_rate_before_it_and_keeps_a_low_one_after_it(schedule):
    plain = TrainingSettings(lr=1.0, **schedule)
    kept = TrainingSettings(lr=1.0, **schedule, extensions=[[100, "keep"]])
    assert [lr_at(kept, s, 300) for s in range(100)] == [lr_at(plain, s, 100) for s in range(100)]
    rates = {lr_at(kept, step, 300) for step in range(100, 300)}
    assert len(rates) == 1
    assert 0 < rates.pop() <= lr_at(plain, 94, 100), "not above the end of the decay"


def test_a_kept_rate_does_not_depend_on_how_often_a_run_is_extended():
    once, twice = (
        TrainingSettings(extensions=extensions)
        for extensions in ([[10, "keep"]], [[10, "keep"], [20, "keep"]])
    )
    assert {lr_at(once, s, 40) for s in range(10, 40)} == {lr_at(twice, 30, 40)}
    assert lr_at(TrainingSettings(lr_schedule="constant", extensions=[[10, "keep"]]), 20, 40) == (
        TrainingSettings().lr
    )


def test_rewarming_begins_at_the_rate_before_it_rises_to_lr_and_decays_again():
    settings = TrainingSettings(lr=1.0, warmup_steps=4, extensions=[[100, "rewarm"]])
    rates = [lr_at(settings, step, 200) for step in range(98, 200)]
    assert rates[2:6] == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=1e-3)
    assert max(rates) == 1.0
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.001


def test_a_decay_after_a_constant_rate_begins_at_that_rate():
    settings = TrainingSettings(lr=1.0, warmup_steps=4, extensions=[[50, "decay"]])
    assert lr_at(settings, 50, 100) == 1.0
    assert lr_at(settings, 75, 100) == pytest.approx(0.5)


def test_an_extension_beyond_the_end_does_not_count():
    settings = TrainingSettings(extensions=[[100, "keep"]])
    assert lr_at(settings, 50, 80) == lr_at(TrainingSettings(), 50, 80)
    assert [(p.start, p.end, p.rule) for p in list_lr_phases(settings, 300)] == [
        (0, 100, "schedule"), (100, 300, "keep")
    ]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_their_settings(name):
    settings = TrainingSettings(optimizer=name, weight_decay=0.1, betas=[0.8, 0.9])
    optimizer = build_optimizer(torch.nn.Linear(2, 2), settings)
    group = optimizer.param_groups[0]
    assert (group["weight_decay"], tuple(group["betas"]), group["fused"]) == (0.1, (0.8, 0.9), True)


THEIRS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_update_as_those_of_torch_do(name, fused):
    ends = []
    for cls in (OPTIMIZERS[name], THEIRS[name]):
        torch.manual_seed(0)
        layer = torch.nn.Linear(5, 3)
        optimizer = cls(layer.parameters(), lr=0.1, weight_decay=0.2, fused=fused)
        for _ in range(3):
            (layer(torch.ones(2, 5)) ** 2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            assert all(parameter.grad is None for parameter in layer.parameters())
        states = [value for state in optimizer.state.values() for value in state.values()]
        ends.append(torch.cat([p.detach().flatten() for p in [*layer.parameters(), *states]]))
    assert torch.equal(*ends)


def test_an_update_is_not_recorded_for_gradients():
    layer = torch.nn.Linear(1, 1)
    layer(torch.ones(1, 1)).backward()
    build_optimizer(layer, TrainingSettings()).step()
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in layer.parameters())


@pytest.mark.parametrize("limit", [1e-7, 0.5, 4.999, 5.0, 5.001, 100.0, float("inf")])
@pytest.mark.parametrize("first", [3.0, 3e-7, 0.0, float("inf"), float("nan")])
def test_gradients_are_clipped_as_torch_clips_them(first, limit):
    ends = []
    for clip in (clip_gradients, torch.nn.utils.clip_grad_norm_):
        parameters = [torch.zeros(1, requires_grad=True) for _ in range(3)]
        parameters[0].grad, parameters[1].grad = (
            torch.tensor([first]),
            torch.tensor([4 * first / 3]),
        )
        norm = clip(parameters, limit)
        assert parameters[2].grad is None
        ends.append(torch.cat([norm.view(1), parameters[0].grad, parameters[1].grad]))
    assert torch.equal(ends[0].view(torch.int32), ends[1].view(torch.int32)), "the same bits"
