"""Networks that grow with their images: what is kept, and what the grown one computes at first."""

import pytest
import torch
from torch.nn import functional

from iddm_cli.networks.transferring.growing import add_levels, grow_patches
from iddm_cli.networks.unet import UNet
from tests.networks.transferring.test_weight_transfer import build

LEVELS = 2


def build_unet(multipliers, attention, seed=0, *, spread=0.15, **changes) -> UNet:
    torch.manual_seed(seed)
    network = UNet(
        channels=3, num_classes=2, base_channels=8, channel_multipliers=multipliers,
        blocks_per_level=2, attention_levels=attention, head_channels=8, norm_groups=4, **changes
    )  # fmt: skip
    for parameter in network.parameters() if spread else ():
        torch.nn.init.normal_(parameter, std=spread)
    return network.eval().requires_grad_(False)


def grow(old: UNet, multipliers, **changes) -> UNet:
    new = build_unet(multipliers, [3], seed=9, spread=0, **changes)
    new.load_state_dict(add_levels(old.state_dict(), new, LEVELS))
    return new


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_larger_patches_answer_as_the_old_network_does_for_enlarged_images(name):
    old, new = build(name, 3, 2), build(name, 3, 2, seed=9)
    new.patch_size *= 2
    first, *_, last = new.edge_layers()
    for layer, key in ((first, "weight"), (last, "weight"), (last, "bias")):
        size = list(getattr(layer, key).shape)
        size[1 if layer is first else 0] *= 4
        setattr(layer, key, torch.nn.Parameter(torch.randn(size), requires_grad=False))
    new.load_state_dict(grow_patches(old.state_dict(), new, 2))
    torch.manual_seed(1)
    x, t, label = torch.randn(2, 3, 8, 8), torch.tensor([9, 400]), torch.tensor([0, 2])
    wanted = functional.interpolate(old(x, t, label), scale_factor=2.0)
    found = new(functional.interpolate(x, scale_factor=2.0), t, label)
    assert wanted.std() > 0.01
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    details = torch.randn(2, 3, 16, 16)
    details -= functional.interpolate(functional.avg_pool2d(details, 2), scale_factor=2.0)
    other = new(functional.interpolate(x, scale_factor=2.0) + details, t, label)
    assert (other - found).std() > 0.01, "details are read"


def test_old_levels_keep_every_bit_and_stay_the_innermost():
    old = build_unet([1, 2], [1])
    found, before = grow(old, [1, 1, 1, 2]).state_dict(), old.state_dict()
    same = {
        "down.2.blocks.0.conv1.weight": "down.0.blocks.0.conv1.weight",
        "down.3.attentions.1.query.weight": "down.1.attentions.1.query.weight",
        "downsample.2.conv.weight": "downsample.0.conv.weight",
        "middle.before.conv2.bias": "middle.before.conv2.bias",
        "up.0.blocks.2.shortcut.weight": "up.0.blocks.2.shortcut.weight",
        "up.1.blocks.2.conv1.weight": "up.1.blocks.2.conv1.weight",
        "upsample.0.conv.weight": "upsample.0.conv.weight",
        "embedding.perceptron.0.weight": "embedding.perceptron.0.weight",
        "embedding.classes.weight": "embedding.classes.weight",
        "conv_in.weight": "conv_in.weight",
        "norm_out.weight": "norm_out.weight",
    }
    for new_name, old_name in same.items():
        assert torch.equal(found[new_name], before[old_name]), new_name
    kept = {tensor.data_ptr() for name, tensor in before.items() if not name.startswith("conv_out")}
    assert kept <= {
        t.data_ptr() for t in add_levels(before, build_unet([1, 1, 1, 2], [3]), 2).values()
    }
    assert not found["conv_out.weight"].any()


def test_new_levels_are_those_of_an_untrained_network_and_its_answer_is_zero():
    old, untrained = build_unet([1, 2], [1]), build_unet([1, 1, 1, 2], [3], seed=9, spread=0)
    found, fresh = grow(old, [1, 1, 1, 2]).state_dict(), untrained.state_dict()
    new = [name for name in found if torch.equal(found[name], fresh[name])]
    for part in ("down.0", "down.1", "downsample.0", "downsample.1", "up.2", "up.3", "upsample.1",
                 "upsample.2", "conv_out"):  # fmt: skip
        names = [name for name in found if name.startswith(part)]
        assert names
        assert set(names) <= set(new), part
    assert not any(name.startswith(("middle", "embedding.classes")) for name in new)
    answer = grow(old, [1, 1, 1, 2])(torch.ones(1, 3, 32, 32), torch.tensor([9]), torch.tensor([1]))
    assert not answer.any()


def test_levels_of_another_width_leave_the_blocks_beside_them_untrained():
    old = build_unet([1, 2], [1])
    new = build_unet([1, 3, 1, 2], [3], seed=9, spread=0)
    fresh = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    found, before = add_levels(old.state_dict(), new, LEVELS), old.state_dict()
    assert torch.equal(found["down.2.blocks.0.conv2.bias"], fresh["down.2.blocks.0.conv2.bias"])
    for new_name, old_name in (
        ("down.2.blocks.1.conv2.bias", "down.0.blocks.1.conv2.bias"),
        ("up.1.blocks.1.conv2.bias", "up.1.blocks.1.conv2.bias"),
    ):
        assert torch.equal(found[new_name], before[old_name])
    assert torch.equal(found["up.1.blocks.2.conv2.bias"], fresh["up.1.blocks.2.conv2.bias"])
    new.load_state_dict(found)
