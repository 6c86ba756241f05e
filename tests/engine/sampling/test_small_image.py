import numpy as np
import torch

from iddm_cli.data.decoding.own_size import OwnSizeSpec, find_noise_index, prepare_at_own_size
from iddm_cli.engine.sampling.small_image import build_small_image
from iddm_cli.value_range import ValueRange
from tests.data.decoding.test_own_size import SPEC, ImageBytes, encode, make_levels


def test_planes_are_the_pixels_of_the_file():
    levels = make_levels()
    image = prepare_at_own_size(SPEC, ImageBytes(encode(levels, "PNG"), 100))
    small = build_small_image("a.png", 2, image, SPEC)
    assert torch.equal(small.planes, torch.from_numpy(levels).permute(2, 0, 1))
    assert (small.name, small.label, small.size) == ("a.png", 2, (6, 5))
    assert small.noise == find_noise_index(image)


def test_deep_values_keep_their_levels():
    spec = OwnSizeSpec(1, "white", ValueRange("uint16", (0.0,), (65535.0,)))
    levels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    image = prepare_at_own_size(spec, ImageBytes(encode(levels, "PNG"), 100))
    planes = build_small_image("a.png", 0, image, spec).planes
    assert (planes.dtype, planes.shape) == (torch.uint16, (1, 3, 4))
    assert (planes[0].int() == torch.from_numpy(levels.astype(np.int32))).all()
