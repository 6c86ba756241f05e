"""Non-leaky augmentation: exact where it can be, as described, a function of step and slot."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from iddm_cli.data.loader.augmentation_parameters import AugmentationParameters
from iddm_cli.data.loader.conditioned_augmentation import ConditionedAugmentation, augment
from iddm_cli.engine import randomness
from tests.data.loader.test_augmentation_parameters import FIELDS, make_parameters


def uniforms(purpose: str, step: int, slots: Tensor, count: int) -> Tensor:
    return randomness.uniforms(7, purpose, items=slots, step=step, count=count)


def smooth(height: int, width: int, channels: int = 1) -> Tensor:
    """An image without corners or edges, [1, C, H, W]."""
    y = torch.linspace(0, math.pi, height)[:, None]
    x = torch.linspace(0, math.pi, width)[None, :]
    planes = [(x * (1.5 + c) + y).sin() * 0.9 for c in range(channels)]
    return torch.stack(planes)[None]


def centre(x: Tensor, share: float = 0.5) -> Tensor:
    """Return the middle of an image, which no border reaches."""
    height, width = x.shape[2:]
    y, x_ = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
    return x[:, :, y : height - y, x_ : width - x_]


def test_images_without_a_change_keep_their_bits():
    x = torch.rand(3, 3, 8, 12) * 2 - 1
    nothing = AugmentationParameters(**{name: torch.zeros(3).double() for name in FIELDS})
    assert augment(x, nothing).numpy().tobytes() == x.numpy().tobytes()


def test_a_change_of_one_image_leaves_the_others():
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    for name in FIELDS:
        if name == "stretch_angle":
            continue
        values = {one: torch.zeros(2).double() for one in FIELDS}
        values[name] = torch.tensor([0.0, 1.0]).double()
        found = augment(x, AugmentationParameters(**values))
        assert torch.equal(found[0], x[0]), name
        assert not torch.equal(found[1], x[1]), name


def test_flips_are_exact():
    x = torch.rand(1, 3, 8, 12) * 2 - 1
    assert torch.equal(augment(x, make_parameters(flip_x=1)), x.flip(3))
    assert torch.equal(augment(x, make_parameters(flip_y=1)), x.flip(2))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_interpolate_nothing(turns):
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    found = augment(x, make_parameters(angle=turns * math.pi / 2))
    assert torch.allclose(found, x.rot90(turns, (2, 3)), atol=1e-4)


def test_shifts_by_whole_pixels_interpolate_nothing():
    x = torch.rand(1, 1, 16, 32) * 2 - 1
    found = augment(x, make_parameters(shift_x=2 / 4, shift_y=-3 / 2))  # by 2 and -3 pixels
    assert torch.allclose(found[:, :, :13, 2:], x[:, :, 3:, :30], atol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "angle", "scale", "shift"),
    [
        ({"angle": 0.5}, math.degrees(-0.5), 1.0, (0, 0)),
        ({"angle": -2.4}, math.degrees(2.4), 1.0, (0, 0)),
        ({"scale": 1.5}, 0.0, 2**0.3, (0, 0)),
        ({"shift_x": 1, "shift_y": -0.5}, 0.0, 1.0, (10, -3)),
        ({"angle": 0.3, "scale": 1.0, "shift_x": 0.4, "shift_y": 0.5},
         math.degrees(-0.3), 2**0.2, (4, 3)),
    ],
)  # fmt: skip
def test_the_geometry_is_that_of_torchvision(parameters, angle, scale, shift):
    """Its angles are clockwise."""
    x = smooth(48, 80)
    expected = reference.affine(
        x, angle, list(shift), scale, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR
    )
    found = augment(x, make_parameters(**parameters))
    assert torch.allclose(centre(found), centre(expected), atol=0.01)


def test_a_stretch_is_along_its_axis():
    """At an angle of 0, columns move apart, and rows together."""
    x = smooth(64, 64)
    found = augment(x, make_parameters(stretch=1))
    factor = 2**0.2
    expected = reference.resize(
        x, [round(64 / factor), round(64 * factor)], interpolation=InterpolationMode.BICUBIC
    )
    expected = reference.center_crop(expected, [32, 32])
    assert torch.allclose(centre(found), expected, atol=0.03)


def test_the_opposite_change_brings_the_image_back():
    """One change at a time: of several, the opposite has the opposite order."""
    x = smooth(96, 96)
    for change in (
        {"angle": 0.7}, {"scale": 1.0}, {"shift_x": 0.6, "shift_y": -0.3},
        {"stretch": 0.9, "stretch_angle": 0.8},
    ):  # fmt: skip
        opposite = {
            key: -value if key != "stretch_angle" else value for key, value in change.items()
        }
        there = augment(x, make_parameters(**change))
        back = augment(there, make_parameters(**opposite))
        assert torch.allclose(centre(back, 0.4), centre(x, 0.4), atol=0.02), change
        assert not torch.allclose(centre(there, 0.4), centre(x, 0.4), atol=0.05), change


def test_light_and_colour_can_be_taken_back():
    x = torch.rand(1, 3, 8, 8) * 2 - 1
    dark = augment(x, make_parameters(brightness=-1, contrast=2))
    assert torch.allclose(dark, x * 2**0.5 - 0.1, atol=1e-6)
    coloured = augment(x, make_parameters(saturation=0.8, hue=1.1))
    assert torch.allclose(coloured.mean(1), x.mean(1), atol=1e-5)
    back = augment(coloured, make_parameters(saturation=-0.8, hue=-1.1))
    assert torch.allclose(back, x, atol=1e-5)


def test_a_third_of_a_turn_in_hue_exchanges_the_channels():
    x = torch.rand(1, 3, 8, 8) * 2 - 1
    found = augment(x, make_parameters(hue=2 * math.pi / 3))
    assert torch.allclose(found, x.roll(1, dims=1), atol=1e-5)


def test_grey_has_no_colour():
    x = torch.rand(1, 1, 8, 8) * 2 - 1
    assert torch.equal(augment(x, make_parameters(saturation=2, hue=1)), x)


def test_interpolated_values_stay_in_the_range_of_pixels():
    x = torch.rand(1, 1, 32, 32).round() * 2 - 1
    found = augment(x, make_parameters(angle=0.4, scale=-1))
    assert found.abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_slot_is_changed_alike_in_every_group_of_slots(channels):
    x = torch.rand(24, channels, 16, 16) * 2 - 1
    change = ConditionedAugmentation(0.3, uniforms)
    whole, vectors = change(x, 5, torch.arange(24))
    for slots in (torch.arange(24)[1::2], torch.tensor([7]), torch.arange(23, -1, -1)):
        part, its_vectors = change(x[slots], 5, slots)
        assert part.numpy().tobytes() == whole[slots].numpy().tobytes()
        assert torch.equal(its_vectors, vectors[slots])
    other, _ = change(x, 6, torch.arange(24))
    assert not torch.equal(other, whole)


def test_the_vector_is_that_of_the_change():
    """What says that nothing was changed belongs to an image that has its bits."""
    x = torch.rand(64, 1, 8, 8) * 2 - 1
    changed, vectors = ConditionedAugmentation(0.12, uniforms)(x, 0, torch.arange(64))
    same = (changed == x).flatten(1).all(1)
    assert torch.equal(same, ~vectors.any(1))
    assert 5 < int(same.sum()) < 30
