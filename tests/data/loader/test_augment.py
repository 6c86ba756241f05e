"""Augmentation: exact where it can be, a function of step and slot, and never out of bounds."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from iddm_cli.data.loader.augment import Augmentation
from iddm_cli.profiles.settings import DataSettings


def drawn(**values: float) -> object:
    """A source of randomness that always draws these numbers; what is not named is 1/2."""
    return lambda purpose, step, slots: torch.full(
        (len(slots),), values.get(purpose.replace("-", "_"), 0.5)
    )


def hashed(purpose: str, step: int, slots: Tensor) -> Tensor:
    return torch.tensor([hash((purpose, step, slot)) % 997 / 997 for slot in slots.tolist()])


def smooth(height: int, width: int, count: int = 1) -> Tensor:
    """Images without corners or edges, so that interpolation hardly matters, [B, 2, H, W]."""
    y = torch.linspace(0, math.pi, height)[:, None]
    x = torch.linspace(0, math.pi, width)[None, :]
    both = torch.stack([(x * 1.5 + y).sin(), (y - 0.5 * x).cos()])
    return both.expand(count, 2, height, width).clone()


def changed(x: Tensor, uniform: object, size: tuple[int, int], **values: object) -> Tensor:
    settings = DataSettings(image_size=list(size), **values)
    return Augmentation(settings, uniform)(x, 3, torch.arange(len(x)))


def test_without_changes_nothing_is_touched() -> None:
    x = torch.rand(4, 3, 8, 12)
    assert changed(x, hashed, (8, 12)) is x


def test_flips_are_exact_and_left_to_right() -> None:
    x = torch.rand(2, 3, 8, 12)
    assert torch.equal(changed(x, drawn(flip=0.4), (8, 12), horizontal_flip=True), x.flip(3))
    assert torch.equal(changed(x, drawn(flip=0.6), (8, 12), horizontal_flip=True), x)


def test_a_crop_of_the_stored_size_is_a_cut() -> None:
    """The smallest crop needs no interpolation: it shows stored pixels one to one."""
    x = torch.rand(1, 3, 20, 30)
    values = {"random_crop": 0.8}
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)):
        uniform = drawn(crop_size=0.0, crop_x=across, crop_y=down)
        found = changed(x, uniform, (16, 24), **values)
        top, left = int(4 * down), int(6 * across)
        assert torch.allclose(found, x[:, :, top : top + 16, left : left + 24], atol=1e-5)


def test_the_largest_crop_shows_all() -> None:
    x = smooth(40, 60)
    found = changed(x, drawn(crop_size=1 - 1e-7), (32, 48), random_crop=0.8)
    wanted = reference.resize(x, [32, 48], antialias=False)
    assert (found - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("degrees", [20.0, -35.0, 90.0])
def test_turning_is_torchvisions(degrees: float) -> None:
    x = smooth(40, 40)
    found = changed(x, drawn(rotation=0.5 + 0.5 * degrees / 90), (40, 40), rotation=90)
    wanted = reference.rotate(x, degrees, interpolation=reference.InterpolationMode.BILINEAR)
    middle = (..., slice(10, 30), slice(10, 30))
    assert (found[middle] - wanted[middle]).abs().max() < 1e-4


def test_turning_keeps_shapes_in_wide_images() -> None:
    """A circle stays one: what turns is the image, not its coordinates from -1 to 1."""
    y, x = torch.meshgrid(torch.arange(30) - 14.5, torch.arange(60) - 29.5, indexing="ij")
    disc = torch.sigmoid(8 - (x**2 + y**2).sqrt())[None, None]
    found = changed(disc, drawn(rotation=0.8), (30, 60), rotation=90)
    middle = (..., slice(18, 42))
    assert (found[middle] - disc[middle]).abs().max() < 0.05


def test_nothing_dark_turns_into_view() -> None:
    x = torch.full((1, 3, 16, 16), 0.7)
    found = changed(x, drawn(rotation=0.75, crop_size=0.3), (16, 16), rotation=90, random_crop=0.9)
    assert (found - 0.7).abs().max() < 1e-5


def test_each_slot_is_changed_by_itself() -> None:
    x = smooth(40, 40, 8)
    settings = DataSettings(image_size=32, random_crop=0.8, rotation=30, horizontal_flip=True)
    change = Augmentation(settings, hashed)
    whole = change(x, 5, torch.arange(8))
    for slot in range(8):
        assert torch.allclose(change(x[:1], 5, torch.tensor([slot]))[0], whole[slot], atol=1e-6)
    assert not torch.allclose(change(x, 6, torch.arange(8)), whole, atol=1e-2)
    assert not torch.allclose(whole[0], whole[1], atol=1e-2)
