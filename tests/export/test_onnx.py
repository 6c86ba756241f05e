"""ONNX: what onnxruntime draws is what we draw, for every sampler, guidance and number."""

import itertools
import json

import numpy as np
import onnx
import pytest
import torch

from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.graphs import OPSETS
from iddm_cli.export.onnx.model_proto import OnnxOptions, build_onnx_model
from iddm_cli.export.trained_model import TrainedModel
from tests.export.conftest import trained

SAMPLERS = {
    "ddim": {"sampler": "ddim"},
    "eta": {"sampler": "ddim", "eta": 0.6, "clip": False},
    "ddpm": {"sampler": "ddpm", "steps": 12},
    "dpmpp-2m": {"sampler": "dpmpp-2m", "steps": 6},
}
SEED = 5


class OnnxExport:
    """A model beside what onnxruntime has of it."""

    def __init__(self, model: TrainedModel, form: OnnxOptions | None = None) -> None:
        self.model = model
        self.made = build_onnx_model(model, form or OnnxOptions())
        self.session = check.open_session(self.made.SerializeToString())
        self.names = [value.name for value in self.session.get_inputs()]

    def draw(self, specs: list[SampleSpec], guidance: float, seed: int = SEED) -> np.ndarray:
        inputs = check.build_inputs(self.session, self.model, specs, seed=seed, guidance=guidance)
        return self.session.run(None, inputs)[0]

    def wanted(self, specs: list[SampleSpec], guidance: float, seed: int = SEED) -> np.ndarray:
        settings = self.model.profile.sampling.model_copy(update={"guidance": guidance})
        kinds = {"num_classes": len(self.model.classes), "shape": self.model.shape}
        return (
            ImageGenerator(self.model.denoiser, settings, **kinds)
            .generate_batch(specs, seed)
            .numpy()
        )


@pytest.fixture(scope="module", params=SAMPLERS)
def conditional(request) -> OnnxExport:
    prediction = {"ddim": "v", "eta": "epsilon", "ddpm": "v", "dpmpp-2m": "x"}[request.param]
    model = trained(diffusion={"prediction": prediction}, sampling=SAMPLERS[request.param])
    return OnnxExport(model)


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert wanted.std() > 10, "the comparison is about something"
    difference = np.abs(found.astype(int) - wanted)
    # Off by one may be rounding here and there; everywhere, it would be truncation.
    return (difference <= 1).mean() >= 0.999 and (difference == 0).mean() > 0.99


@pytest.mark.parametrize("guidance", [1.0, 0.0, 2.5])
@pytest.mark.parametrize("count", [1, 8])
def test_it_draws_what_we_draw(conditional, count, guidance):
    # The last of three labels means "no class".
    specs = [SampleSpec(index % 3, 10 + index) for index in range(count)]
    assert same(conditional.draw(specs, guidance), conditional.wanted(specs, guidance))


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


def test_each_seed_and_each_index_has_its_own_noise():
    exported = OnnxExport(trained(sampling=SAMPLERS["ddpm"]))
    inputs = check.build_inputs(
        exported.session, exported.model, [SampleSpec(0, 0), SampleSpec(0, 1)], seed=0
    )
    inputs["noise"][1] = inputs["noise"][0]
    generated = [
        exported.session.run(None, inputs | {"seed": np.array(seed)})[0] for seed in (-7, 2)
    ]
    pictures = [picture for pair in generated for picture in pair]
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(pictures, 2))


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_without_classes_noise_is_enough(sampler):
    exported = OnnxExport(trained((), sampling=SAMPLERS[sampler], model={"patch_size": 2}))
    assert exported.names == ["noise", "index"][: 2 if sampler == "ddpm" else 1]
    specs = [SampleSpec(0, index) for index in range(3)]
    assert same(exported.draw(specs, 1.0), exported.wanted(specs, 1.0))


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_on_offer_says_the_same(opset):
    model = trained(model={"activation": "gelu"}, diffusion={"timesteps": 50})
    form = OnnxOptions(part="denoiser", opset=opset)
    exported = OnnxExport(model, form)
    assert [entry.version for entry in exported.made.opset_import if not entry.domain] == [opset]
    x_t, t, label = torch.randn(5, *model.shape), torch.tensor([0, 9, 20, 31, 49]), torch.arange(5)
    label = label % 3
    inputs = {"x_t": x_t.numpy(), "t": t.numpy(), "label": label.numpy()}
    (found,) = exported.session.run(None, inputs)
    wanted = model.denoiser(x_t, t, label)
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=2e-4, rtol=2e-4)
    assert check.check_onnx_model(model, exported.made, form).within_one == 1


def test_the_file_is_hardly_larger_than_the_weights():
    model = trained(model={"base_channels": 64, "channel_multipliers": [1, 2, 3]},
                    sampling={"sampler": "ddpm", "steps": 1000})  # fmt: skip
    made = build_onnx_model(model, OnnxOptions())
    assert made.ByteSize() < 1.05 * 4 * model.parameters


@pytest.fixture(scope="module")
def large() -> TrainedModel:
    return trained(model={"base_channels": 32})


@pytest.mark.parametrize(
    ("precision", "size", "mean"), [("fp32", 1.1, 0), ("fp16", 0.65, 1), ("int8", 0.55, 8)]
)
def test_smaller_numbers_make_smaller_files_of_almost_the_same_pictures(
    large, precision, size, mean
):
    form = OnnxOptions(precision=precision)
    made = build_onnx_model(large, form)
    assert made.ByteSize() < size * 4 * large.parameters
    agreement = check.check_onnx_model(large, made, form)
    assert agreement.mean <= mean
    assert (agreement.mean == 0) == (precision == "fp32"), "it has become another graph"


def test_a_graph_that_draws_something_else_is_not_let_through():
    model, form = trained(), OnnxOptions()
    made = build_onnx_model(model, form)
    assert check.check_onnx_model(model, made, form).within_one == 1
    for parameter in model.denoiser.parameters():
        parameter.mul_(1.05)
    with pytest.raises(IddmError, match="draws other pictures than PyTorch"):
        check.check_onnx_model(model, made, form)


def test_a_graph_that_is_none_is_not_let_through():
    model, form = trained(), OnnxOptions()
    made = build_onnx_model(model, form)
    made.graph.node[0].op_type = "NoSuch"
    with pytest.raises(IddmError, match="no valid ONNX"):
        check.check_onnx_model(model, made, form)


def test_what_no_such_file_can_hold_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(TrainedModel, "parameters", 600_000_000)
    with pytest.raises(UsageError, match=r"0\.6 billion parameters"):
        build_onnx_model(trained(), OnnxOptions())


def test_the_file_says_all_that_using_it_needs_and_nothing_of_the_machine():
    model = trained(("cat", "日本"), data={"path": "/home/somebody/secret"})
    made = build_onnx_model(model, OnnxOptions())
    said = {entry.key: entry.value for entry in made.metadata_props}
    assert json.loads(said["iddm.class_names"]) == ["cat", "日本"]
    wanted = {
        "run": "steel", "step": "500", "sampler": "ddim", "steps": "5", "guidance": "2.0",
        "schedule": "linear", "timesteps": "1000", "value_range": "[-1, 1]", "part": "pipeline",
    }  # fmt: skip
    assert {key: said[f"iddm.{key}"] for key in wanted} == wanted
    assert (made.producer_name, made.graph.name) == ("iddm", "steel")
    content = made.SerializeToString()
    for word in (b"somebody", b"site-packages", b".py", b"torch.nn"):
        assert word not in content, word
    assert onnx.load_from_string(content).ir_version <= 10, "older runtimes read it"


def test_the_seed_is_the_hash_that_the_documentation_gives():
    import hashlib

    digest = hashlib.sha256(b"3/sample-step").digest()[:8]
    assert int(check.encode_seed(3)) == int.from_bytes(digest, "little", signed=True)
    assert randomness.key_of(3, "sample-step")[0] == int.from_bytes(digest[:4], "little")


def test_the_network_of_iddm_draws_the_same():
    model = trained(model={"network": "iddm-unet", "activation": "lrelu"}, sampling={"steps": 2})
    exported = OnnxExport(model)
    specs = [SampleSpec(index % 3, index) for index in range(3)]
    assert same(exported.draw(specs, 2.0), exported.wanted(specs, 2.0))
    assert exported.made.ByteSize() < 1.01 * 4 * model.parameters
