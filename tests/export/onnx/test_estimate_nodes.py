"""ONNX pipelines with every setting of guidance: onnxruntime generates what iddm generates."""

import copy
from functools import cache

import numpy as np
import pytest

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.image_generator import SampleSpec
from iddm_cli.errors import UsageError
from iddm_cli.export.onnx import model_proto
from iddm_cli.export.onnx.model_proto import build_onnx_model
from iddm_cli.export.onnx.options import OnnxOptions
from tests.export.one_layer import ALL, model
from tests.export.onnx.onnx_exports import OnnxExport, same


@pytest.fixture(autouse=True)
def trace_once(monkeypatch):
    """Trace each network once for all tests."""
    monkeypatch.setattr(
        model_proto, "_trace_denoiser", lambda *args: copy.deepcopy(trace(args[1], args[0].classes))
    )


@cache
def trace(network: Denoiser, classes: tuple[str, ...]):
    return TRACE(model(classes), network, OnnxOptions())


TRACE = model_proto._trace_denoiser


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model(guidance_rescale=0.7, clip=False, steps=3), id="rescale"),
        pytest.param(model((), threshold=0.2, steps=3), id="threshold without classes"),
        pytest.param(model(**ALL, sampler="dpmpp-2m", steps=6), id="all"),
        pytest.param(model((), autoguided=True, steps=4), id="autoguidance without classes"),
        pytest.param(model(autoguided=True, **ALL, sampler="dpmpp-2m", steps=6), id="everything"),
    ],
)
def test_it_generates_what_iddm_generates(model):
    exported = OnnxExport(model)
    labels = [*range(len(model.classes) + 1)]
    specs = [SampleSpec(labels[index % len(labels)], index) for index in range(4)]
    images = [exported.generate(specs, scale) for scale in (1.0, 4.0)]
    for found, scale in zip(images, (1.0, 4.0), strict=True):
        assert same(found, exported.wanted(specs, scale))
    if model.classes or model.weaker:
        assert not np.array_equal(*images), "guidance changes images"
    metadata = exported.session.get_modelmeta().custom_metadata_map
    assert metadata["iddm.guide_with"] == model.guide_with


def test_both_networks_are_in_the_file_once():
    one, two = (build_onnx_model(model(autoguided=each), OnnxOptions()) for each in (False, True))
    weights = [
        tensor.name
        for node in two.graph.node if node.op_type == "Loop"
        for step in node.attribute[0].g.node if step.op_type == "If"
        for branch in step.attribute for tensor in branch.g.initializer
    ]  # fmt: skip
    assert len(weights) == len(set(weights)) > 1
    assert two.ByteSize() < 2 * one.ByteSize()


def test_the_denoiser_alone_has_no_place_for_the_weaker_network():
    with pytest.raises(UsageError, match="--guide-with: --part denoiser leaves out guidance"):
        build_onnx_model(model(autoguided=True), OnnxOptions(part="denoiser"))
