"""Upscalers in ONNX: onnxruntime makes the images of `iddm upscale`."""

import numpy as np
import pytest
import torch

from iddm_cli.engine.image_generator import SampleSpec
from iddm_cli.engine.sampling.upscaler import Upscaler
from iddm_cli.export.onnx import check
from tests.export.conftest import trained
from tests.export.onnx.onnx_exports import SAMPLERS, SEED, OnnxExport, same

FACTOR = 2


def upscaling(classes=("cat", "dog"), **sampling):
    condition = {"condition": "low_resolution", "upscale_factor": FACTOR}
    return trained(classes, model=condition, sampling=sampling)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_it_upscales_as_iddm_does(sampler):
    exported = OnnxExport(upscaling(**SAMPLERS[sampler]))
    assert "low_resolution" in exported.names
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


def test_without_a_noise_level_the_smaller_images_get_none():
    exported = OnnxExport(upscaling(()))
    low = np.full((1, *exported.model.low_shape[1:], 3), 90, np.uint8)
    inputs = check.build_inputs(
        exported.session, exported.model, [SampleSpec(0, 0)], seed=SEED, low=low
    )
    wanted = exported.session.run(None, inputs)[0]
    for name in ("noise_level", "low_noise"):
        del inputs[name]
    assert np.array_equal(exported.session.run(None, inputs)[0], wanted)
