"""Optimizers: one update of one weight, by hand."""

import pytest
import torch

from iddm_cli.engine.optimization.joint import JointOptimizer
from iddm_cli.engine.optimization.muon import Muon
from iddm_cli.engine.optimization.optimizers import (
    Adam,
    AdamW,
    build_optimizer,
    clip_gradients,
    set_lr,
    step_unless_skipped,
)
from iddm_cli.networks.unet import UNet
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


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_optimizers_take_their_settings(name):
    settings = TrainingSettings(optimizer=name, weight_decay=0.1, betas=[0.8, 0.9])
    optimizer = build_optimizer(torch.nn.Linear(2, 2), settings)
    group = optimizer.param_groups[0]
    assert (group["weight_decay"], tuple(group["betas"]), group["fused"]) == (0.1, (0.8, 0.9), True)


PAIRS = [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("pair", PAIRS)
def test_optimizers_update_as_those_of_torch_do(pair, fused):
    ends = []
    for cls in pair:
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


MUON = TrainingSettings(optimizer="muon", lr=1e-3, muon_lr=0.02)


def build_unet() -> UNet:
    return UNet(
        channels=1, num_classes=3, base_channels=8, channel_multipliers=[1, 2], blocks_per_level=1,
        attention_levels=[1], head_channels=None, norm_groups=2,
    )  # fmt: skip


def give_gradients(network: torch.nn.Module, value: float | None = None) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
        if value is not None:
            parameter.grad.fill_(value)


def test_muon_updates_hidden_weights_and_adamw_the_rest():
    network = build_unet()
    optimizer = build_optimizer(network, MUON)
    assert isinstance(optimizer, JointOptimizer)
    adamw, muon = optimizer.parts
    assert isinstance(adamw, AdamW) and isinstance(muon, Muon)
    give_gradients(network)
    optimizer.step()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    hidden = {names[id(p)] for p in muon.param_groups[0]["params"]}
    rest = {names[id(p)] for p in adamw.param_groups[0]["params"]}
    assert hidden | rest == set(names.values()) and not hidden & rest
    assert all(network.get_parameter(name).dim() >= 2 for name in hidden)
    matrices = {name for name in rest if network.get_parameter(name).dim() >= 2}
    assert {name.split(".")[0] for name in matrices} == {"conv_in", "conv_out", "embedding"}
    assert len([name for name in matrices if "embedding" in name]) == 1, "the table of classes"
    for parameter in network.parameters():
        quantities = set(optimizer.state[parameter])
        is_hidden = names[id(parameter)] in hidden
        assert quantities == (
            {"momentum_buffer"} if is_hidden else {"step", "exp_avg", "exp_avg_sq"}
        )


def test_a_learning_rate_reaches_all_groups_in_proportion():
    optimizer = build_optimizer(build_unet(), MUON)
    set_lr(optimizer, 5e-4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([5e-4, 0.01])


def test_a_skipped_update_of_muon_changes_nothing():
    network = build_unet()
    optimizer = build_optimizer(network, MUON)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    give_gradients(network)
    step_unless_skipped(torch.tensor(0.0), optimizer, scaler)
    before = [p.detach().clone() for p in network.parameters()]
    state = [v.clone() for p in network.parameters() for v in optimizer.state[p].values()]
    give_gradients(network, float("nan"))
    step_unless_skipped(torch.tensor(1.0), optimizer, scaler)
    assert all(map(torch.equal, before, network.parameters()))
    after = [v for p in network.parameters() for v in optimizer.state[p].values()]
    assert all(map(torch.equal, state, after))
    give_gradients(network)
    step_unless_skipped(torch.tensor(0.0), optimizer, scaler)
    assert not any(map(torch.equal, before, network.parameters())), "the next one is made"
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in network.parameters())
