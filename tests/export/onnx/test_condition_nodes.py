"""Upscalers and positions in ONNX: onnxruntime makes the images of `iddm`."""

from dataclasses import replace

import numpy as np
import torch

from iddm_cli.engine.image_generator import SampleSpec
from iddm_cli.engine.sampling.upscaler import Upscaler
from tests.export import one_layer
from tests.export.conftest import trained
from tests.export.onnx.onnx_exports import SAMPLERS, SEED, OnnxExport, same

FACTOR = 2
CONDITION = {"condition": "low_resolution", "upscale_factor": FACTOR}


def test_it_upscales_as_iddm_does():
    model = trained(model=CONDITION, sampling=SAMPLERS["ddpm"])
    exported = OnnxExport(replace(model, denoiser=one_layer.denoiser(0, condition=4)))
    channels, height, width = exported.model.low_shape
    rng = np.random.default_rng(0)
    low = rng.integers(0, 256, (5, height, width, channels), np.uint8)
    specs = [SampleSpec(index % 3, 7 + index) for index in range(5)]
    planes = torch.from_numpy(low).permute(0, 3, 1, 2)
    for guidance, level in ((1.0, 0.0), (2.5, 0.3)):
        upscaler = Upscaler(exported.build_generator(guidance), FACTOR, level)
        wanted = upscaler.upscale(planes, specs, seed=SEED).numpy()
        found = exported.generate(specs, guidance, low=low, noise_level=level)
        assert same(found, wanted)


def test_noise_of_the_smaller_images_may_be_left_out():
    exported = OnnxExport(
        replace(trained((), model=CONDITION), denoiser=one_layer.denoiser(0, condition=4))
    )
    assert exported.names == ["noise", "low_resolution"]
    optional = [value.name for value in exported.session.get_overridable_initializers()]
    assert optional == ["noise_level", "low_noise"]
    low = np.full((1, *exported.model.low_shape[1:], 3), 90, np.uint8)
    specs = [SampleSpec(0, 0)]
    wanted = exported.generate(specs, 1.0, low=low)
    noise = np.zeros((1, *exported.model.diffused_shape), np.float32)
    given = {"noise": noise, "low_resolution": low}
    at_zero = {
        "noise_level": np.array(0, np.float32),
        "low_noise": np.ones((1, 1, 1, 1), np.float32),
    }
    both = [exported.session.run(None, given | more)[0] for more in ({}, at_zero)]
    assert np.array_equal(*both)
    assert wanted.shape == both[0].shape


def test_crops_lie_where_iddm_places_them_or_in_the_middle():
    data = {"image_size": [8, 16], "crop": [8, 16], "crop_position": True, "whole_size": [19, 48]}
    model = replace(trained((), data=data), denoiser=one_layer.denoiser(0, condition=2))
    exported = OnnxExport(model)
    specs = [SampleSpec(0, 7 + index) for index in range(5)]
    found = exported.generate(specs, 1.0)
    assert same(found, exported.wanted(specs, 1.0))
    assert exported.names == ["noise"]
    assert [value.name for value in exported.session.get_overridable_initializers()] == ["corner"]
    noise = {"noise": np.zeros((2, *model.shape), np.float32)}
    middle, twice, other = (
        exported.session.run(None, noise | more)[0]
        for more in ({}, *({"corner": np.array(one, np.float32)} for one in (
            [[5.5, 16], [5.5, 16]], [[0, 16], [5.5, 16]],
        )))
    )  # fmt: skip
    assert np.array_equal(middle, twice)
    assert np.array_equal(middle[1], other[1]) and not np.array_equal(middle[0], other[0])
