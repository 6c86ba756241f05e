"""The U-Net: diffusers' UNet2DModel under other names, and what lies beyond it."""

import pytest
import torch
from diffusers import UNet2DModel

from iddm_cli.export.diffusers import to_diffusers_name
from iddm_cli.networks import UNet
from iddm_cli.networks.blocks import ACTIVATIONS


def ours(**changes) -> UNet:
    settings = {
        "channels": 3, "num_classes": 5, "base_channels": 16, "channel_multipliers": [1, 2],
        "blocks_per_level": 1, "attention_levels": [1], "head_channels": 8, "norm_groups": 8,
    }  # fmt: skip
    torch.manual_seed(0)
    network = UNet(**(settings | changes))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return network.eval()


def theirs(
    network: UNet, channels: int, widths: list[int], blocks: int, levels: list[int], **changes
):
    num_classes = network.embedding.classes.num_embeddings if network.embedding.classes else None
    kinds = ["Attn" if level in levels else "" for level in range(len(widths))]
    config = {
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": tuple(widths),
        "layers_per_block": blocks,
        "down_block_types": tuple(f"{kind}DownBlock2D" for kind in kinds),
        "up_block_types": tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        "attention_head_dim": 8,
        "norm_num_groups": 8,
        "attn_norm_num_groups": 8,
        "num_class_embeds": num_classes,
        "resnet_time_scale_shift": "scale_shift",
        "downsample_padding": 1,
    }
    model = UNet2DModel(**(config | changes))
    model.load_state_dict(
        {to_diffusers_name(key): value for key, value in network.state_dict().items()}
    )
    return model.eval()


@pytest.mark.parametrize(
    ("channels", "num_classes", "multipliers", "blocks", "levels", "size"),
    [
        (3, 5, [1, 2], 1, [1], (8, 8)),
        (1, 0, [1, 2], 2, [], (8, 16)),
        (3, 2, [1, 2, 3], 2, [0, 2], (16, 8)),
        (3, 0, [1], 1, [0], (7, 5)),
        (1, 9, [1, 1, 3], 1, [1, 2], (8, 8)),
        (3, 2, [2, 3], 1, [1], (4, 8)),
    ],
)
def test_renamed_it_is_diffusers_network(channels, num_classes, multipliers, blocks, levels, size):
    network = ours(
        channels=channels,
        num_classes=num_classes,
        channel_multipliers=multipliers,
        blocks_per_level=blocks,
        attention_levels=levels,
        base_channels=16,
    )
    widths = [16 * multiplier for multiplier in multipliers]
    model = theirs(network, channels, widths, blocks, levels)
    x, t = torch.randn(3, channels, *size), torch.tensor([0, 17, 999])
    label = torch.tensor([0, num_classes // 2, num_classes])
    with torch.no_grad():
        found = network(x, t, label)
        wanted = model(x, t, class_labels=label if num_classes else None).sample
    assert found.std() > 0.1, "the comparison is about something"
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "config"),
    [
        ({"conditioning": "shift"}, {"resnet_time_scale_shift": "default"}),
        ({"norm_eps": 0.01}, {"norm_eps": 0.01}),
        ({"downsample_padding": 0}, {"downsample_padding": 0}),
        ({"frequency_shift": 1}, {"freq_shift": 1}),
        ({"head_channels": None}, {"attention_head_dim": None}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_each_variant_is_one_of_theirs_and_makes_a_difference(settings, config):
    changed, plain = ours(**settings), ours()
    x, t, label = torch.randn(2, 3, 8, 8), torch.tensor([3, 999]), torch.tensor([0, 5])
    with torch.no_grad():
        found = changed(x, t, label)
        wanted = theirs(changed, 3, [16, 32], 1, [1], **config)(x, t, class_labels=label).sample
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        assert (found - plain(x, t, label)).abs().max() > 1e-4, "ten times what is allowed"


def test_a_new_network_says_nothing():
    network = UNet(
        channels=1, num_classes=0, base_channels=8, channel_multipliers=[1], blocks_per_level=1,
        attention_levels=[], head_channels=8, norm_groups=4,
    )  # fmt: skip
    assert not network(torch.randn(2, 1, 8, 8), torch.tensor([0, 9]), torch.zeros(2).long()).any()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_every_activation_and_patch_size_keeps_the_shape(activation, patch):
    network = ours(activation=activation, patch_size=patch)
    x = torch.randn(2, 3, 16, 8)
    assert network(x, torch.tensor([0, 9]), torch.tensor([0, 1])).shape == x.shape


def test_labels_and_times_matter_and_no_label_is_one_of_them():
    network, x = ours(), torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    same_t = torch.tensor([5, 5, 5])
    by_label = network(x, same_t, torch.tensor([0, 1, 5]))
    assert not torch.allclose(by_label[0], by_label[1])
    assert not torch.allclose(by_label[0], by_label[2])
    by_time = network(x, torch.tensor([5, 6, 900]), torch.tensor([0, 0, 0]))
    assert not torch.allclose(by_time[0], by_time[1])


def test_without_classes_labels_are_ignored():
    network, x = ours(num_classes=0), torch.randn(2, 3, 8, 8)
    t = torch.tensor([3, 4])
    same = network(x, t, torch.tensor([0, 0])) == network(x, t, torch.tensor([7, 2]))
    assert same.all()


def test_dropout_acts_in_training_alone():
    network, x = ours(dropout=0.5), torch.randn(2, 3, 8, 8)
    args = (x, torch.tensor([3, 4]), torch.tensor([0, 0]))
    assert torch.equal(network(*args), network(*args))
    network.train()
    assert not torch.equal(network(*args), network(*args))
