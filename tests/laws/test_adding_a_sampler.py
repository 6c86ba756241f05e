"""A new sampler is a function and a row: generation, the server and every export follow."""

import io
import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from iddm_cli.diffusion.denoiser import clip_estimates
from iddm_cli.diffusion.guidance import guide
from iddm_cli.diffusion.schedules import CLEAN
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers import dpmpp
from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_pixels
from iddm_cli.errors import UsageError
from iddm_cli.export import pt2
from iddm_cli.export.diffusers import build_diffusers_folder
from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.model_proto import OnnxOptions, build_onnx_model
from iddm_cli.profiles.choices import SAMPLERS, SamplerRow, list_names
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.serving.scheduling.batcher import InFlightSample, SamplePlan
from tests.export.conftest import trained
from tests.serving.conftest import make_model

ADAMS_BASHFORTH = [(1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12),
                   (55 / 24, -59 / 24, 37 / 24, -9 / 24)]  # fmt: skip
STEPS, SEED, NAME = 7, 5, "ab4"
SPECS = [SampleSpec(0, 0), SampleSpec(1, 3)]


def ab4(schedule, grid, calls) -> SolverTable:
    """Fourth-order Adams-Bashforth over estimates of x: PNDM's linear multistep (2202.09778)."""
    times = grid(calls)
    start, end = schedule.levels_at(times), schedule.levels_at([*times[1:], CLEAN])
    weights = torch.zeros(len(times), 4, dtype=torch.float64)
    for k in range(len(times)):
        row = ADAMS_BASHFORTH[0 if k == len(times) - 1 else min(k, 3)]
        weights[k, : len(row)] = torch.tensor(row, dtype=torch.float64)
    c_x = end.sigma / start.sigma
    scaled = (end.alpha - start.alpha * c_x)[:, None] * weights
    return SolverTable.from_columns(
        times, c_x=c_x, c_denoised=scaled[:, 0], c_prev=list(scaled[:, 1:].unbind(1))
    )


@pytest.fixture(autouse=True)
def row(monkeypatch):
    row = SamplerRow(solver="dpmpp.ab4", summary="fourth order", usual_steps=STEPS, diffusers=None)
    monkeypatch.setattr(dpmpp, "ab4", ab4, raising=False)
    monkeypatch.setitem(SAMPLERS, NAME, row)


def settings_of(sampling: SamplingSettings) -> SamplingSettings:
    """Return settings with the new sampler, which the `Literal` does not have."""
    with pytest.raises(ValidationError):
        SamplingSettings(sampler=NAME)
    return sampling.model_copy(update={"sampler": NAME, "steps": None})


def sample_directly(model, sampling) -> torch.Tensor:
    """Sample with all earlier estimates at hand, by the formula and not by the table."""
    schedule = model.denoiser.schedule
    label = torch.tensor([spec.label for spec in SPECS])
    index = torch.tensor([spec.index for spec in SPECS])
    x_t = randomness.normal(SEED, "sample", items=index, step=0, shape=model.shape)
    denoise = guide(model.denoiser, sampling.guidance, no_label=len(model.classes))
    times = [round(1000 - k * 1000 / STEPS) - 1 for k in range(STEPS)]
    estimates = []
    for k, t in enumerate(times):
        estimates.append(clip_estimates(denoise)(x_t, torch.full_like(label, t), label).double())
        alpha, sigma = (float(table[t]) for table in schedule.levels[:2])
        if k == STEPS - 1:
            return to_pixels(estimates[-1].float()).permute(0, 2, 3, 1)
        alpha_next, sigma_next = (float(table[times[k + 1]]) for table in schedule.levels[:2])
        order = ADAMS_BASHFORTH[min(k, 3)]
        newest_first = estimates[::-1]
        x = sum(weight * newest_first[j] for j, weight in enumerate(order))
        x_t = (alpha_next * x + sigma_next / sigma * (x_t.double() - alpha * x)).float()
    raise AssertionError


def same(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    assert wanted.float().std() > 10, "the comparison is about something"
    return bool(((found.int() - wanted.int()).abs() <= 1).float().mean() >= 0.999)


def test_the_image_generator_takes_its_steps():
    model = make_model()
    sampling = settings_of(model.sampling)
    generator = ImageGenerator(model.denoiser, sampling, num_classes=3, shape=model.shape)
    assert generator.solver_table.history == 3
    wanted = sample_directly(model, sampling)
    assert same(generator.generate_batch(SPECS, SEED), wanted)
    other = ImageGenerator(model.denoiser, model.sampling, num_classes=3, shape=model.shape)
    assert not same(other.generate_batch(SPECS, SEED), wanted), "another sampler differs"


def test_the_server_batches_it_with_samplers_that_keep_less():
    model = make_model()
    sampling = settings_of(model.sampling)
    samples = [
        InFlightSample(model.plan_samples(sampling, label=spec.label, seed=SEED), spec.index)
        for spec in SPECS
    ]
    others = [
        InFlightSample(
            model.plan_samples(model.resolve_sampling(name, 4, None), label=0, seed=1), 0
        )
        for name in ("ddim", "ddpm", "dpmpp-2m", "plms", "ipndm")
    ]
    model.advance(samples[:1])
    while unfinished := [one for one in (*others, *samples) if not one.finished]:
        model.advance(unfinished)
    found = torch.stack([to_pixels(one.x_t).permute(1, 2, 0) for one in samples])
    assert same(found, sample_directly(model, sampling))
    assert [len(one.previous) for one in (*others, *samples)] == [0, 0, 1, 3, 3, 3, 3]
    # Bit for bit the same as alone.
    plan: SamplePlan = samples[0].plan
    alone = InFlightSample(plan, samples[0].index)
    while not alone.finished:
        model.advance([alone])
    assert torch.equal(alone.x_t, samples[0].x_t)


def exportable():
    model = trained()
    sampling = settings_of(model.profile.sampling)
    profile = model.profile.model_copy(update={"sampling": sampling})
    object.__setattr__(model, "profile", profile)
    return model, sampling


def test_the_onnx_file_takes_its_steps():
    model, sampling = exportable()
    session = check.open_session(build_onnx_model(model, OnnxOptions()).SerializeToString())
    inputs = check.build_inputs(session, model, SPECS, seed=SEED)
    (found,) = session.run(None, inputs)
    assert same(torch.from_numpy(found.astype(np.int32)), sample_directly(model, sampling))


def test_the_pt2_file_holds_its_table():
    model, sampling = exportable()
    extra = {pt2.METADATA_NAME: ""}
    made, _ = pt2.build_pt2(model, aot=False)
    program = torch.export.load(io.BytesIO(made), extra_files=extra).module()
    about = json.loads(extra[pt2.METADATA_NAME])
    assert about["columns"] == ["c_x", "c_denoised", "c_prev1", "c_prev2", "c_prev3", "c_noise"]
    label = torch.tensor([spec.label for spec in SPECS])
    index = torch.tensor([spec.index for spec in SPECS])
    x_t = randomness.normal(SEED, "sample", items=index, step=0, shape=model.shape)
    previous = [torch.zeros_like(x_t)] * (len(about["columns"]) - 3)
    scale = torch.tensor(sampling.guidance)
    for t, (c_x, c_denoised, *c_prev, _) in zip(about["times"], about["steps"], strict=True):
        with torch.no_grad():
            denoised = program(x_t, torch.full_like(label, t), label, scale)
        x_t = c_x * x_t + c_denoised * denoised
        x_t = x_t + sum(c * earlier for c, earlier in zip(c_prev, previous, strict=True))
        previous = [denoised, *previous[:-1]]
    assert same(to_pixels(x_t).permute(0, 2, 3, 1), sample_directly(model, sampling))


def test_the_folder_of_diffusers_is_refused_with_the_samplers_that_work():
    model, _ = exportable()
    with pytest.raises(UsageError, match=r"cannot express sampling\.sampler ab4") as refused:
        build_diffusers_folder(model)
    expressible = [name for name, row in SAMPLERS.items() if row.diffusers is not None]
    assert refused.value.hint == f"It can express {list_names(expressible)}."
