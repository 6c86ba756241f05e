"""ONNX pipelines: onnxruntime generates what iddm generates, for every sampler and guidance."""

import itertools
import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_pixels
from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.graphs import build_denoiser_graph, build_step_noise_graph
from iddm_cli.export.onnx.model_proto import build_onnx_model, pipeline_spec
from iddm_cli.export.onnx.options import OnnxOptions
from iddm_cli.export.onnx.pipeline import PipelineGraphs, build_pipeline
from iddm_cli.value_range import ValueRange
from tests.export.conftest import trained
from tests.export.latent_models import SCALE, one_layer_latent
from tests.export.onnx.onnx_exports import SAMPLERS, SEED, OnnxExport, same
from tests.tuned import make_tables


@pytest.fixture(scope="module")
def network():
    """Return a model and the graph of its network, which all samplers of v-prediction share."""
    model = trained(diffusion={"prediction": "v"})
    return model, build_denoiser_graph(model.denoiser, model.shape, conditional=True, opset=20)


def build_shared(model, graph) -> onnx.ModelProto:
    """Return the pipeline of a model around a graph of its network that is there already."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    spec = pipeline_spec(model)
    noise = build_step_noise_graph(model.shape, opset=20) if spec.adds_noise else None
    return build_pipeline(PipelineGraphs(copy, None, noise), spec)


@pytest.fixture(scope="module", params=SAMPLERS)
def conditional(request, network) -> OnnxExport:
    prediction = {"ddim": "v", "eta": "epsilon", "ddpm": "v", "dpmpp-2m": "x", "tuned": "v"}[
        request.param
    ]
    model = trained(diffusion={"prediction": prediction}, sampling=SAMPLERS[request.param])
    model = replace(model, tables=make_tables(5))
    is_shared = request.param in ("ddim", "tuned")
    made = build_shared(model, network[1]) if is_shared else None
    return OnnxExport(model, made=made)


@pytest.mark.parametrize("guidance", [1.0, 0.0, 2.5])
@pytest.mark.parametrize("count", [1, 8])
def test_it_generates_what_iddm_generates(conditional, count, guidance):
    # The last of three labels means "no class".
    specs = [SampleSpec(index % 3, 10 + index) for index in range(count)]
    assert same(conditional.generate(specs, guidance), conditional.wanted(specs, guidance))


def test_guidance_may_be_left_out_and_is_then_the_profiles(conditional):
    inputs = check.build_inputs(
        conditional.session, conditional.model, [SampleSpec(0, 0)], seed=SEED
    )
    del inputs["guidance"]
    (found,) = conditional.session.run(None, inputs)
    guidance = conditional.model.profile.sampling.guidance
    assert guidance == 2.0
    assert same(found, conditional.wanted([SampleSpec(0, 0)], guidance))


def test_only_samplers_that_add_noise_ask_for_a_seed(conditional):
    noisy = conditional.model.profile.sampling.sampler == "ddpm" or (
        conditional.model.profile.sampling.eta > 0
    )
    assert conditional.names == ["noise", "label"] + (["index"] if noisy else [])
    optional = [value.name for value in conditional.session.get_overridable_initializers()]
    assert optional == ["guidance"] + (["seed"] if noisy else [])


def test_each_seed_and_each_index_has_its_own_noise(conditional):
    if "seed" not in [one.name for one in conditional.session.get_overridable_initializers()]:
        pytest.skip("its sampler adds no noise")
    inputs = check.build_inputs(
        conditional.session, conditional.model, [SampleSpec(0, 0), SampleSpec(0, 1)], seed=0
    )
    inputs["noise"][1] = inputs["noise"][0]
    generated = [
        conditional.session.run(None, inputs | {"seed": np.array(seed)})[0] for seed in (-7, 2)
    ]
    pictures = [picture for pair in generated for picture in pair]
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(pictures, 2))


@pytest.mark.parametrize(
    "changes",
    [{"sampler": "heun"}, {"sampler": "dpm2"}, {"sampler": "plms"}, {"sampler": "ipndm"},
     {"sampler": "dpmpp-3m", "grid": "log-snr"}, {"sampler": "unipc", "order": 3},
     {"sampler": "consistency", "steps": 2}],
    ids=lambda changes: changes["sampler"],
)  # fmt: skip
def test_other_samplers_generate_the_same(network, changes):
    model, graph = network
    changes = {"guidance_interval": [0.2, 0.97], "steps": 7, **changes}
    sampling = model.profile.sampling.model_copy(update=changes)
    model = replace(model, profile=model.profile.model_copy(update={"sampling": sampling}))
    exported = OnnxExport(model, made=build_shared(model, graph))
    specs = [SampleSpec(index % 3, index) for index in range(5)]
    assert same(exported.generate(specs, 2.5), exported.wanted(specs, 2.5))


def test_a_latent_model_generates_images_with_its_decoder_inside():
    exported = OnnxExport(one_layer_latent(**SAMPLERS["dpmpp-2m"]))
    specs = [SampleSpec(index % 3, index) for index in range(5)]
    found = exported.generate(specs, 2.5)
    assert found.shape == (5, 16, 32, 3)
    assert same(found, exported.wanted(specs, 2.5))


def test_the_parts_of_a_latent_model_fit_together():
    model = one_layer_latent()
    noise = np.random.default_rng(0).normal(size=(3, *model.diffused_shape)).astype(np.float32)
    wanted = to_pixels(model.decoder.decode(torch.from_numpy(noise))).permute(0, 2, 3, 1)
    for part in ("decoder", "denoiser"):
        options = OnnxOptions(part)
        made = build_onnx_model(model, options)
        assert check.check_onnx_model(model, made, options).within_one > 0.999
        said = {entry.key: entry.value for entry in made.metadata_props}
        assert json.loads(said["iddm.latent_shape"]) == [*model.diffused_shape]
        assert json.loads(said["iddm.latent_scale"]) == SCALE.to_json()
        if part == "decoder":
            session = OnnxExport(model, made=made).session
            assert same(session.run(None, {"latents": noise})[0], wanted.numpy())


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_without_classes_noise_is_enough(sampler):
    exported = OnnxExport(trained((), sampling=SAMPLERS[sampler], model={"patch_size": 2}))
    assert exported.names == ["noise", "index"][: 2 if sampler == "ddpm" else 1]
    specs = [SampleSpec(0, index) for index in range(3)]
    assert same(exported.generate(specs, 1.0), exported.wanted(specs, 1.0))


@pytest.mark.parametrize(
    "network",
    [
        {"network": "iddm-unet", "activation": "lrelu"},
        {"network": "dit", "width": 16, "depth": 2, "head_channels": 8, "bottleneck": 8},
    ],
    ids=["iddm-unet", "dit"],
)
def test_other_networks_generate_the_same(network):
    model = trained(model=network, sampling={"steps": 2})
    exported = OnnxExport(model)
    specs = [SampleSpec(index % 3, index) for index in range(3)]
    assert same(exported.generate(specs, 2.0), exported.wanted(specs, 2.0))
    assert exported.made.ByteSize() < 1.01 * 4 * model.parameters + 50_000


def test_images_have_the_type_and_units_of_the_training_images():
    values = ValueRange("int16", (-1000.0, 0.0), (2000.0, 9.0))
    model = trained((), data={"channels": 2, "image_size": 8})
    model = replace(model, values=values)
    made = OnnxExport(model)
    specs = [SampleSpec(0, 3), SampleSpec(0, 4)]
    found = made.generate(specs, 1.0)
    assert (found.dtype, found.shape) == (values.dtype, (2, 8, 8, 2))
    generator = ImageGenerator(
        model.denoiser,
        model.profile.sampling,
        num_classes=0,
        shape=model.shape,
        levels=values.levels,
    )
    wanted = values.to_values(generator.generate_batch(specs, SEED).numpy())
    span = np.array(values.high) - np.array(values.low)
    assert (np.abs(found.astype(float) - wanted) <= span / 500 + 1).mean() > 0.99
    agreement = check.compare_images(model, made.session)
    assert agreement.within_one > 0.999
    metadata = made.session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["iddm.values"]) == values.to_json()
    assert metadata["iddm.image"].startswith(values.dtype)
