"""Blocks and patches: how they start, which non-linearity they take, how pixels are folded."""

import math

import pytest
import torch

from iddm_cli.networks import UNet
from iddm_cli.networks.blocks import ACTIVATIONS, ResidualBlock, SelfAttention
from tests.networks.test_unet import ours

POINTS = [-3.0, -1.0, -0.1, 0.0, 0.5, 2.0, 7.0]


def by_hand(name: str, x: float) -> float:
    """The textbook formula of each non-linearity."""
    return {
        "silu": x / (1 + math.exp(-x)),
        "gelu": x * (1 + math.erf(x / math.sqrt(2))) / 2,
        "relu": max(0.0, x),
        "relu6": min(max(0.0, x), 6.0),
        "lrelu": x if x > 0 else 0.1 * x,
    }[name]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_non_linearity_is_what_its_name_says(name):
    found = ACTIVATIONS[name]()(torch.tensor(POINTS)).tolist()
    assert found == pytest.approx([by_hand(name, x) for x in POINTS], abs=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_chosen_non_linearity_is_the_only_one(name):
    kinds = {type(make()) for make in ACTIVATIONS.values()}
    found = [type(module) for module in ours(activation=name).modules() if type(module) in kinds]
    assert set(found) == {type(ACTIVATIONS[name]())}
    # The embedding, the end, and residual blocks: 1 + 1 going down, 2 middle ones, 2 + 2 up.
    assert len(found) == 1 + 1 + (2 + 2 + 4)


def test_new_blocks_pass_their_input_through():
    torch.manual_seed(0)
    h, embedding = torch.randn(2, 8, 6, 4), torch.randn(2, 16)
    block = ResidualBlock(8, 8, embedding=16, groups=4, dropout=0.0, activation=ACTIVATIONS["silu"])
    torch.testing.assert_close(block(h, embedding), h, atol=0, rtol=0)
    attention = SelfAttention(8, head_channels=4, groups=4)
    torch.testing.assert_close(attention(h), h, atol=0, rtol=0)


def test_attention_knows_no_positions():
    torch.manual_seed(0)
    attention = SelfAttention(8, head_channels=4, groups=2)
    torch.nn.init.normal_(attention.out.weight)
    h = torch.randn(1, 8, 3, 4)
    order = torch.randperm(12)
    shuffled = attention(h.flatten(2)[:, :, order].view_as(h))
    torch.testing.assert_close(shuffled.flatten(2), attention(h).flatten(2)[:, :, order])
    assert not torch.allclose(attention(h), h), "the comparison is about something"


def folded(x: torch.Tensor, side: int) -> torch.Tensor:
    """Fold squares of pixels into channels, one pixel after another."""
    batch, channels, height, width = x.shape
    out = torch.empty(batch, channels * side * side, height // side, width // side)
    for c in range(channels):
        for row in range(height):
            for column in range(width):
                place = c * side * side + row % side * side + column % side
                out[:, place, row // side, column // side] = x[:, c, row, column]
    return out


@pytest.mark.parametrize(("channels", "patch"), [(1, 2), (3, 2), (1, 3), (3, 4)])
def test_patches_are_the_plain_network_on_folded_images_and_nothing_is_lost(channels, patch):
    patched = ours(channels=channels, patch_size=patch)
    plain = ours(channels=channels * patch**2)
    plain.load_state_dict(patched.state_dict())
    x = torch.randn(2, channels, 4 * patch, 6 * patch)
    t, label = torch.tensor([3, 900]), torch.tensor([1, 5])
    with torch.no_grad():
        found, wanted = patched(x, t, label), plain(folded(x, patch), t, label)
    assert wanted.std() > 0.1, "the comparison is about something"
    torch.testing.assert_close(folded(found, patch), wanted, atol=1e-5, rtol=1e-5)


def test_each_image_is_answered_as_if_it_were_alone():
    network = ours()
    x, t, label = torch.randn(3, 3, 8, 8), torch.tensor([0, 40, 999]), torch.tensor([2, 5, 0])
    with torch.no_grad():
        together = network(x, t, label)
        alone = [network(x[i : i + 1], t[i : i + 1], label[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=1e-5)


def test_every_weight_learns():
    network: UNet = ours()
    x, t = torch.randn(6, 3, 8, 8), torch.arange(6) * 150
    network(x, t, torch.arange(6)).square().mean().backward()
    still = {name for name, p in network.named_parameters() if not p.grad.abs().max() > 1e-9}
    # A softmax does not see what is added to all its scores alike.
    assert {name for name in still if not name.endswith("key.bias")} == set()
