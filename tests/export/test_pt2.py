"""PT2: a loop over the table in the file generates what iddm generates, with PyTorch only."""

import io
import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_pixels
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.export import pt2
from iddm_cli.export.onnx.check import build_generator
from iddm_cli.value_range import ValueRange
from tests.export import one_layer
from tests.export.conftest import trained
from tests.export.latent_models import one_layer_latent
from tests.export.one_layer import ALL
from tests.tuned import make_tables


def loop(denoise, about, noise, label, guidance, new_noises=(), decode=torch.clone):
    """Sample as the documentation says."""
    x_t = noise
    previous = [torch.zeros_like(x_t)] * (len(about["columns"]) - 3)
    steps = zip(about["times"], about["guided"], about["keeps"], about["steps"], strict=True)
    new_noises = iter(new_noises)
    for t, guided, (k_x, k_denoised), (c_x, c_denoised, *c_prev, c_noise) in steps:
        scale = torch.tensor(guidance if guided else 1.0)
        given = {"label": label, "guidance": scale}
        more = [given[name] for name in about["inputs"][2:]]
        estimate = denoise(x_t, torch.full((len(noise),), t), *more)
        kept = k_x * x_t + k_denoised * estimate
        x_t = c_x * x_t + c_denoised * estimate
        x_t = x_t + sum(c * earlier for c, earlier in zip(c_prev, previous, strict=True))
        x_t = x_t + c_noise * next(new_noises) if c_noise else x_t
        previous = [kept, *previous[:-1]]
    return to_pixels(decode(x_t)).permute(0, 2, 3, 1)


@pytest.mark.parametrize("sampler", ["ddim", "ipndm", "tuned", "consistency"])
@pytest.mark.parametrize("classes", [("cat", "dog"), ()], ids=["classes", "none"])
def test_a_loop_over_the_table_generates_what_iddm_generates(classes, sampler):
    interval = [0.0, 1.0] if sampler == "ddim" else [0.2, 0.97]
    sampling = {"sampler": sampler, "guidance": 2.5, "guidance_interval": interval}
    if sampler == "ddim" and not classes:  # with classes, the end-to-end tests export a U-Net
        model = trained(classes, sampling=sampling)
    else:
        model = one_layer.model(classes, steps=5, **sampling)
    check_program(replace(model, tables=make_tables(5)))


@pytest.mark.parametrize("classes", [("cat", "dog"), ()], ids=["classes", "none"])
def test_rescaled_thresholded_and_autoguided_images_are_those_of_iddm(classes):
    settings = {**ALL, "guidance": 2.5, "steps": 4}
    check_program(one_layer.model(classes, autoguided=True, **settings))


def check_program(model) -> None:
    """Check that a loop over the table in the file generates the images that iddm generates."""
    made, off = pt2.build_pt2(model, aot=False)
    assert off < 1e-5
    assert len(made) < 6 * model.parameters + 2**21, "both branches share the weights"
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        graph = archive.read(next(n for n in archive.namelist() if n.endswith("model.json")))
    assert str(Path(pt2.__file__).parents[1]).encode() not in graph, "paths of this machine"
    extra = {pt2.METADATA_NAME: ""}
    program = torch.export.load(io.BytesIO(made), extra_files=extra)
    about = json.loads(extra[pt2.METADATA_NAME])
    assert about["shape"] == list(model.shape)
    for count in (1, 4):
        check_loop(model, program, about, count)


def check_loop(model, program, about, count: int) -> None:
    """Check that the loop generates the images that iddm generates, for a size of batch."""
    classes = model.classes
    specs = [SampleSpec(index % max(1, len(classes)), index) for index in range(count)]
    noise, *new_noises = (
        randomness.normal(9, purpose, items=torch.arange(count), step=step, shape=model.shape)
        for purpose, step in (("sample", 0), *(("sample-step", k) for k in range(5)))
    )
    label = torch.tensor([spec.label for spec in specs])
    with torch.no_grad():
        found = loop(program.module(), about, noise, label, 2.5, new_noises)
    kinds = {
        "num_classes": len(classes),
        "shape": model.shape,
        "weaker": model.weaker,
        "tables": model.tables,
    }
    wanted = ImageGenerator(model.denoiser, model.profile.sampling, **kinds).generate_batch(
        specs, 9
    )
    assert wanted.float().std() > 10, "the comparison is about something"
    assert ((found.int() - wanted.int()).abs() <= 1).float().mean() >= 0.999


@pytest.mark.parametrize("autoguided", [False, True], ids=["classifier-free", "autoguided"])
def test_where_guidance_does_not_apply_one_network_is_evaluated_once(autoguided):
    model = one_layer.model(("cat", "dog"), autoguided=autoguided, guidance=2.5)
    program = pt2.export_program(model).module()
    x_t, t, label, _ = pt2.example_inputs(model, 3)

    def count_images(scale: float) -> int:
        """Return how many images the convolutions of the program process."""
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], record_shapes=True) as ran:
            program(x_t, t, label, torch.tensor(scale))
        return sum(e.input_shapes[0][0] for e in ran.events() if e.name == "aten::convolution")

    assert count_images(2.5) == count_images(0.0) == 2 * count_images(1.0) > 0


def test_a_program_that_differs_from_the_model_is_refused(monkeypatch):
    other = trained(())
    for parameter in other.denoiser.parameters():
        parameter.mul_(1.05)
    program = pt2.export_program(other)
    monkeypatch.setattr(pt2, "export_program", lambda _: program)
    with pytest.raises(IddmError, match="differs from the model"):
        pt2.build_pt2(trained(()), aot=False)


def test_the_file_of_a_latent_model_has_a_second_program_that_decodes():
    from torch.export.pt2_archive._package import load_pt2

    model = one_layer_latent(())
    made, off = pt2.build_pt2(model, aot=False)
    assert off < 1e-4
    archive = load_pt2(io.BytesIO(made))
    about = json.loads(archive.extra_files[pt2.METADATA_NAME])
    assert (about["shape"], about["decoder"]) == ([*model.diffused_shape], "decoder")
    shape = model.diffused_shape
    noise = randomness.normal(9, "sample", items=torch.arange(2), step=0, shape=shape)
    denoise, decode = (archive.exported_programs[name].module() for name in ("model", "decoder"))
    with torch.no_grad():
        found = loop(denoise, about, noise, None, 1.0, decode=decode)
    wanted = build_generator(model).generate_batch([SampleSpec(0, 0), SampleSpec(0, 1)], 9)
    assert wanted.float().std() > 10
    assert ((found.int() - wanted.int()).abs() <= 1).float().mean() >= 0.999
    with pytest.raises(UsageError, match="no place for"):
        pt2.build_pt2(model, aot=True)


@pytest.mark.skipif(
    not os.environ.get("IDDM_TEST_AOT") or not shutil.which("g++"),
    reason="takes a compiler, and half a minute: IDDM_TEST_AOT=1",
)
def test_compiled_ahead_of_time(tmp_path):
    from torch._inductor import aoti_load_package

    made, off = pt2.build_pt2(one_layer.model(guidance=2.5, **ALL), aot=True)
    assert off < 1e-4
    (tmp_path / "model.pt2").write_bytes(made)
    module = aoti_load_package(str(tmp_path / "model.pt2"))
    assert json.loads(module.get_metadata()[pt2.METADATA_NAME])["class_names"] == ["cat", "dog"]


def test_without_a_compiler_the_error_names_it(monkeypatch):
    import torch._inductor

    def fails(*_, **__):
        raise RuntimeError("no compiler here\nand more")

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fails)
    with pytest.raises(IddmError, match="could not compile the model: no compiler") as refused:
        pt2.build_pt2(trained(), aot=True)
    assert refused.value.problem.endswith("here"), "one line is enough"
    assert "C++ compiler" in refused.value.hint


def test_the_metadata_contain_the_range_of_values():
    values = ValueRange("uint16", (300.0,), (3300.0,))
    document = json.loads(pt2.build_metadata(replace(trained(()), values=values)))
    assert document["values"] == values.to_json()
