"""Gradient checkpointing: the same bits from less memory."""

import copy

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine.acceleration.recompute import KeptTensors, list_blocks, recompute_blocks
from iddm_cli.engine.device import autocast
from iddm_cli.engine.memory import estimate_memory
from iddm_cli.networks import NETWORKS, UNet
from tests.engine.test_trainer import bits, make, run

SMALL = {
    "unet": {
        "base_channels": 8, "channel_multipliers": [1, 2], "blocks_per_level": 1,
        "attention_levels": [1], "head_channels": 8, "norm_groups": 4, "dropout": 0.4,
    },
    "iddm-unet": {},
    "dit": {
        "width": 16, "depth": 3, "head_channels": 8, "patch_size": 2, "mlp": "swiglu",
        "norm": "rms", "qk_norm": True, "dropout": 0.4,
    },
}  # fmt: skip
CPU = torch.device("cpu")


def build(name: str) -> torch.nn.Module:
    """Return a network none of whose layers is still zero."""
    torch.manual_seed(0)
    network = NETWORKS[name](channels=1, num_classes=2, **SMALL[name])
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def forward(network: torch.nn.Module, precision: str = "fp32") -> torch.Tensor:
    torch.manual_seed(7)  # of dropout
    x = torch.linspace(-1, 1, 2 * 64).view(2, 1, 8, 8)
    with autocast(CPU, precision):
        return network(x, torch.tensor([1, 3]), torch.tensor([0, 2])).square().sum()


def gradients(network: torch.nn.Module, precision: str = "fp32") -> list[torch.Tensor]:
    network.zero_grad()
    forward(network, precision).backward()
    return [parameter.grad.clone() for parameter in network.parameters()]


@pytest.mark.parametrize(
    ("name", "precision"),
    [("unet", "fp32"), ("unet", "bf16"), ("iddm-unet", "fp32"), ("dit", "fp32"), ("dit", "bf16")],
)
def test_gradients_and_what_is_random_afterwards_are_the_same_bits(name, precision):
    kept = build(name)
    wanted, after = gradients(kept, precision), torch.rand(3)
    recomputed = build(name)
    recompute_blocks(recomputed)
    assert all(map(torch.equal, gradients(recomputed, precision), wanted))
    assert torch.equal(torch.rand(3), after)
    assert list(recomputed.state_dict()) == list(kept.state_dict())


def test_a_training_ends_in_the_same_bits(tmp_path):
    plain = make(tmp_path / "a", dropout=0.4, micro_batch=3)
    less = make(tmp_path / "b", dropout=0.4, micro_batch=3, recompute="blocks")
    run(plain), run(less)
    assert bits(less) == bits(plain)
    assert less.train_step.numerics == plain.train_step.numerics


def test_every_block_is_computed_again_once():
    network = build("unet")
    calls = []
    blocks = list_blocks(network)
    for number, block in enumerate(blocks):
        own = block.forward
        block.forward = lambda *inputs, own=own, number=number: calls.append(number) or own(*inputs)
    recompute_blocks(network)
    gradients(network)
    assert {type(block).__name__ for block in blocks} == {"ResidualBlock", "SelfAttention"}
    assert sorted(calls) == sorted(2 * list(range(len(blocks))))


def test_a_copy_computes_its_own_gradients():
    network = build("unet")
    recompute_blocks(network)
    copied = copy.deepcopy(network)
    wanted = gradients(network)
    network.zero_grad()
    assert all(map(torch.equal, gradients(copied), wanted))
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_what_is_counted_is_what_autograd_keeps(name):
    """Of a network that recomputes, autograd itself shows what stays kept between the blocks."""
    network, recomputing = build(name), build(name)
    recompute_blocks(recomputing)
    with KeptTensors(network, recompute=False) as whole:
        losses = [forward(network)]
    with KeptTensors(network, recompute=True) as planned:
        losses.append(forward(network))
    with KeptTensors(recomputing, recompute=False) as between:
        losses.append(forward(recomputing))
    assert planned.bytes == between.bytes
    # What one block keeps of its result, and the next one as its input, is counted for both.
    assert whole.bytes <= planned.bytes + sum(planned.blocks) < 1.1 * whole.bytes
    assert len(planned.blocks) == len(list_blocks(network))
    assert planned.bytes < whole.bytes / 2
    assert all(not block._forward_hooks for block in list_blocks(network))


def test_the_estimate_of_memory_follows():
    network = UNet(
        channels=1, num_classes=2, base_channels=16, channel_multipliers=[1, 2],
        blocks_per_level=2, attention_levels=[1], head_channels=8, norm_groups=4,
    )  # fmt: skip
    denoiser = Denoiser(network, cosine_schedule(10), prediction="v")
    kept, again = (
        estimate_memory(
            denoiser, shape=(1, 16, 16), micro_batch=4, precision="fp32", data=0, on_cpu=False,
            recompute=recompute,
        )
        for recompute in (False, True)
    )  # fmt: skip
    assert again.activations < 0.75 * kept.activations
    assert again.total - again.activations == kept.total - kept.activations
