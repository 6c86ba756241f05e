"""Weights that are carried over to a network with other classes or another number of channels."""

import pytest
import torch

from iddm_cli.networks import NETWORKS
from iddm_cli.networks.augmentation import find_augmentation
from iddm_cli.networks.transferring.weight_transfer import ClassMapping, adapt_weights
from iddm_cli.profiles.model_settings import MODEL_SETTINGS
from tests.build.profiles import TINY
from tests.networks.backbones import DENOISING

SMALL = {
    "unet": {**TINY, "blocks_per_level": 1, "patch_size": 2},
    "iddm-unet": {},
    "dit": {"width": 16, "depth": 2, "head_channels": 8, "patch_size": 2, "bottleneck": 8},
}


def build(
    name: str,
    channels: int,
    num_classes: int,
    seed: int = 0,
    augmentation: int = 0,
    conditions: int = 0,
) -> torch.nn.Module:
    """Return a network whose every weight says something."""
    settings = MODEL_SETTINGS[name].model_validate({"network": name, **SMALL[name]})
    plain = settings.network_arguments
    torch.manual_seed(seed)
    sizes = {"channels": channels, "num_classes": num_classes, "augmentation": augmentation}
    network = NETWORKS[name](**sizes, condition_channels=conditions, **plain)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return network.eval().requires_grad_(False)


def carry(
    old, new, rows, channels=(3, 3), *, knows_no_label=True, conditions=(0, 0), fresh_spread=1.0
):
    """Return the new network with what the old one knows."""
    mapping = ClassMapping(rows, knows_no_label)
    fresh = None
    if new.class_table() is not None:
        shape = new.class_table().weight.shape
        fresh = fresh_spread * torch.randn(shape, generator=torch.manual_seed(7))
    weights = adapt_weights(old.state_dict(), old, new, mapping, channels, conditions, fresh)
    new.load_state_dict(weights)
    return new


def ask(network, labels, channels=3, *, grey=False):
    """Return the network's answer for each of the labels, on the same noisy images."""
    torch.manual_seed(1)
    x = torch.randn(1, 1 if grey else channels, 8, 8).expand(len(labels), channels, 8, 8)
    return network(x.contiguous(), torch.full((len(labels),), 400), torch.tensor(labels))


@pytest.fixture(params=DENOISING)
def name(request) -> str:
    return request.param


def test_the_same_classes_keep_every_bit(name):
    old = build(name, 3, 3)
    new = carry(old, build(name, 3, 3, seed=9), (0, 1, 2))
    for key, tensor in old.state_dict().items():
        assert torch.equal(new.state_dict()[key], tensor), key


def test_kept_classes_keep_their_function_wherever_they_stand(name):
    old = build(name, 3, 3)
    new = carry(old, build(name, 3, 4, seed=9), (2, None, 0, 1))
    assert torch.equal(ask(new, [0, 2, 3, 4]), ask(old, [2, 0, 1, 3])), "4 and 3 are no label"
    assert not torch.equal(ask(new, [0]), ask(new, [2])), "the classes differ"


@pytest.mark.parametrize("fresh_spread", [0.02, 1.0])
@pytest.mark.parametrize("spread", [0.02, 1.0])
def test_a_new_class_is_as_far_from_the_others_as_they_are_from_each_other(
    name, spread, fresh_spread
):
    old = build(name, 3, 6)
    table = old.class_table().weight
    table.copy_(3 + spread * torch.randn(table.shape, generator=torch.manual_seed(4)))
    rows = (0, 1, None, 2, 3, 4, 5, None)
    new = carry(old, build(name, 3, 8), rows, fresh_spread=fresh_spread)
    rows = new.class_table().weight
    usual = torch.pdist(table).mean()
    for label in (2, 7):
        others = torch.cat([rows[:label], rows[label + 1 :]])
        distances = (others - rows[label]).norm(dim=1) / usual
        assert distances.min() > 0.6 and distances.max() < 1.6


def test_classes_of_a_network_that_had_none_differ_and_no_label_is_what_it_knows(name):
    old = build(name, 3, 0)
    new = carry(old, build(name, 3, 2, seed=9), (None, None))
    assert torch.equal(ask(new, [2]), ask(old, [0]))
    rows = new.class_table().weight
    assert torch.pdist(rows[:2]).item() > 0.5 * rows.shape[1] ** 0.5


def test_a_network_that_loses_its_classes_is_as_without_a_label(name):
    old = build(name, 3, 2)
    new = carry(old, build(name, 3, 0, seed=9), ())
    torch.testing.assert_close(ask(new, [0]), ask(old, [2]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(ask(old, [2]), ask(old, [0]), atol=1e-3)


@pytest.mark.parametrize(("before", "after"), [(0, 11), (11, 0), (11, 11), (11, 14), (14, 11)])
def test_the_layer_for_augmentation_is_kept_as_far_as_both_have_it(name, before, after):
    old = build(name, 3, 2, augmentation=before)
    new = carry(old, build(name, 3, 2, seed=9, augmentation=after), (0, 1))
    assert torch.equal(ask(new, [0, 1, 2]), ask(old, [0, 1, 2])), "unchanged images are the same"
    if after:
        weight, kept = find_augmentation(new).weight, min(before, after)
        assert not weight[:, kept:].any()
        assert not kept or torch.equal(weight[:, :kept], find_augmentation(old).weight[:, :kept])


def test_grey_to_colour_and_back_keeps_the_function_of_grey_images(name):
    grey = build(name, 1, 0)
    colour = carry(grey, build(name, 3, 0, seed=9), (), (1, 3))
    wanted = ask(grey, [0], 1)
    found = ask(colour, [0], 3, grey=True)
    torch.testing.assert_close(found, wanted.expand(1, 3, 8, 8), atol=1e-4, rtol=1e-4)
    again = carry(colour, build(name, 1, 0, seed=8), (), (3, 1))
    torch.testing.assert_close(ask(again, [0], 1), wanted, atol=1e-4, rtol=1e-4)
    assert wanted.std() > 0.05, "the comparison is about something"


def test_colour_to_grey_averages_the_colours(name):
    colour = build(name, 3, 0)
    grey = carry(colour, build(name, 1, 0, seed=9), (), (3, 1))
    wanted = ask(colour, [0], 3, grey=True).mean(1, keepdim=True)
    torch.testing.assert_close(ask(grey, [0], 1), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [(3, 3), (1, 3)])
def test_condition_channels_that_are_new_change_nothing_at_first(name, channels):
    before, after = channels
    old = build(name, before, 2)
    new = build(name, after, 2, seed=9, conditions=2)
    carry(old, new, (0, 1), channels, conditions=(0, 2))
    torch.manual_seed(2)
    x, t, label = torch.randn(3, before, 8, 8), torch.full((3,), 400), torch.tensor([0, 1, 2])
    wanted = old(x, t, label)
    seen = torch.cat([x.expand(3, after, 8, 8) if before == 1 else x, torch.randn(3, 2, 8, 8)], 1)
    torch.testing.assert_close(new(seen, t, label), wanted.expand(3, after, 8, 8),
                               atol=1e-4, rtol=1e-4)  # fmt: skip
    for parameter in new.parameters():
        parameter.requires_grad_()
    new(seen, t, label).square().mean().backward()
    weight = new.edge_layers()[0].weight
    assert weight.grad.unflatten(1, (after + 2, -1))[:, after:].abs().max() > 0, "it can learn them"


def test_condition_channels_are_kept_or_dropped(name):
    old = build(name, 3, 2, conditions=2)
    same = carry(old, build(name, 3, 2, seed=9, conditions=2), (0, 1), conditions=(2, 2))
    x, t, label = torch.randn(1, 5, 8, 8), torch.tensor([400]), torch.tensor([1])
    assert torch.equal(same(x, t, label), old(x, t, label))
    without = carry(old, build(name, 3, 2, seed=9), (0, 1), conditions=(2, 0))
    x[:, 3:] = 0
    torch.testing.assert_close(without(x[:, :3], t, label), old(x, t, label))
