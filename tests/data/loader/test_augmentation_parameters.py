"""Parameters of augmentation: their distribution, and a vector that says what is applied."""

import math

import pytest
import torch
from torch import Tensor

from iddm_cli.data.loader.augmentation_parameters import (
    NUMBERS,
    SCALE,
    SHIFT,
    STRETCH,
    AugmentationParameters,
    count_conditions,
    sample_parameters,
)
from iddm_cli.engine import randomness

FIELDS = tuple(AugmentationParameters.__dataclass_fields__)
MANY = 40_000


def make_parameters(**values: float) -> AugmentationParameters:
    """Return the parameters of one image; what is not named is 0."""
    return AugmentationParameters(
        **{name: torch.tensor([float(values.get(name, 0))], dtype=torch.float64) for name in FIELDS}
    )


def sample(probability: float, count: int = MANY) -> AugmentationParameters:
    slots = torch.arange(count)
    numbers = randomness.uniforms(3, "augment", items=slots, step=1, count=NUMBERS)
    return sample_parameters(numbers, probability)


def quantiles(values: Tensor) -> list[float]:
    return values.quantile(torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)).tolist()


@pytest.mark.parametrize("probability", [0.12, 0.5])
def test_each_kind_of_change_has_the_probability_and_is_independent_of_others(probability):
    found = sample(probability)
    kinds = torch.stack(
        [found.scale, found.angle, found.stretch, found.shift_x, found.contrast, found.hue]
    ).bool()
    shares = kinds.double().mean(1)
    assert shares.tolist() == pytest.approx([probability] * 6, abs=0.01)
    both = (kinds[:, None] & kinds[None]).double().mean(2)
    off_diagonal = both[~torch.eye(6, dtype=torch.bool)]
    assert off_diagonal.tolist() == pytest.approx([probability**2] * 30, abs=0.01)
    assert found.flip_x.mean().item() == pytest.approx(0.5, abs=0.01)
    assert found.flip_y.mean().item() == pytest.approx(probability / 2, abs=0.01)


def test_parts_of_one_change_come_together():
    found = sample(0.12)
    assert torch.equal(found.shift_x != 0, found.shift_y != 0)
    assert torch.equal(found.brightness != 0, found.contrast != 0)
    assert torch.equal(found.saturation != 0, found.hue != 0)
    assert torch.equal(found.stretch != 0, found.stretch_angle != 0)


def test_the_sizes_are_normal_and_the_angles_uniform():
    found = sample(1.0)
    normal = [-1.2816, -0.6745, 0, 0.6745, 1.2816]
    for name in ("scale", "stretch", "shift_x", "shift_y", "brightness", "contrast", "saturation"):
        assert quantiles(getattr(found, name)) == pytest.approx(normal, abs=0.03), name
    for name in ("angle", "stretch_angle", "hue"):
        expected = [math.pi * share for share in (-0.8, -0.5, 0, 0.5, 0.8)]
        assert quantiles(getattr(found, name)) == pytest.approx(expected, abs=0.06), name


def test_the_ends_of_the_random_numbers_are_finite():
    for number in (0.0, 1 - 2.0**-24):
        found = sample_parameters(torch.full((1, NUMBERS), number), 1.0)
        assert all(getattr(found, name).isfinite().all() for name in FIELDS)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_no_change_is_the_vector_zero(channels):
    vector = make_parameters().to_vector(channels)
    assert vector.shape == (1, count_conditions(channels))
    assert not vector.any()


def test_a_vector_has_the_parameters_of_the_table_in_its_order():
    """Table 6 of arXiv:2206.00364, but for the angle of the stretch, which is doubled."""
    values = {"flip_x": 1, "flip_y": 1, "scale": 0.3, "angle": 2.0, "stretch": 0.7,
              "stretch_angle": 0.4, "shift_x": -0.2, "shift_y": 0.9}  # fmt: skip
    vector = make_parameters(**values, brightness=0.6, contrast=-1.5, saturation=0.8, hue=-1)
    expected = [
        1, 1, 0.3, math.cos(2) - 1, math.sin(2), 0.7 * math.cos(0.8), 0.7 * math.sin(0.8),
        -0.2, 0.9, 0.6, -1.5, 0.8, math.cos(1) - 1, -math.sin(1),
    ]  # fmt: skip
    assert vector.to_vector(3)[0].tolist() == pytest.approx(expected)
    assert vector.to_vector(1)[0].tolist() == pytest.approx(expected[:11])


def read_affine(vector: list[float], height: int, width: int) -> Tensor:
    """Return the map from input to output pixels that a vector stands for, [2, 3], y down.

    It reads the vector alone: the stretch is the exponential of a matrix without trace.
    """
    _, _, scale, cos, sin, along, across, x, y, *_ = vector
    turn = torch.tensor([[cos + 1, sin], [-sin, cos + 1]], dtype=torch.float64)
    strain = torch.tensor([[along, -across], [-across, -along]], dtype=torch.float64)
    stretch = torch.linalg.matrix_exp(math.log(STRETCH) * strain)
    shift = torch.tensor([[SHIFT * width * x], [SHIFT * height * y]], dtype=torch.float64)
    return torch.cat([SCALE**scale * stretch @ turn, shift], 1)


def test_the_vector_alone_tells_which_map_is_applied():
    height, width = 48, 80
    found = sample(0.5, 200)
    inverse = found.to_affine(height, width).double()
    sides = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    for row, vector in zip(inverse, found.to_vector(1).tolist(), strict=True):
        forward = read_affine(vector, height, width)
        linear = sides[:, None] * row[:, :2] / sides
        assert torch.allclose(linear @ forward[:, :2], torch.eye(2).double(), atol=1e-5)
        centre = linear @ forward[:, 2:] + (sides * row[:, 2])[:, None]
        assert torch.allclose(centre, torch.zeros(2, 1).double(), atol=1e-4)


def test_equal_stretches_have_equal_vectors():
    """An axis has no direction, and to stretch along it is to shrink across it."""
    first = make_parameters(stretch=0.8, stretch_angle=0.3)
    for same in (
        make_parameters(stretch=0.8, stretch_angle=0.3 - math.pi),
        make_parameters(stretch=-0.8, stretch_angle=0.3 + math.pi / 2),
    ):
        assert torch.allclose(first.to_affine(8, 12), same.to_affine(8, 12), atol=1e-6)
        assert torch.allclose(first.to_vector(1), same.to_vector(1), atol=1e-6)
