"""A probe of sampling: few steps, scaled to all."""

import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.build.speed import sampling_probe
from iddm_cli.build.speed.sampling_probe import (
    build_short_generator,
    choose_specs,
    guess_precision,
    time_image,
)
from tests.build.profiles import tiny_profile


@pytest.mark.parametrize(("steps", "few", "factor"), [(20, 4, 5), (3, 3, 1), (None, 4, 5)])
def test_few_steps_stand_for_all(steps, few, factor):
    profile = tiny_profile(sampling={"steps": steps})
    generator, found = build_short_generator(build_denoiser(profile, 2), profile, 2)
    assert len(generator.solver_table.times) == few
    assert found == factor


def test_images_are_of_all_classes_in_turn():
    assert [spec.label for spec in choose_specs(5, 3)] == [0, 1, 2, 0, 1]
    assert [spec.label for spec in choose_specs(2, 0)] == [0, 0], "which is no label"


def test_the_batch_is_what_the_time_allows(monkeypatch):
    batches = []
    profile = tiny_profile(sampling={"steps": 8, "batch_size": 16})
    denoiser = build_denoiser(profile, 2)
    generate = sampling_probe.ImageGenerator.generate_batch

    def note(self, specs, seed, recorder=None):
        batches.append(len(specs))
        return generate(self, specs, seed, recorder)

    monkeypatch.setattr(sampling_probe.ImageGenerator, "generate_batch", note)
    for forward, size in ((1e-9, 16), (0.05, 3), (60.0, 1)):
        batches.clear()
        assert time_image(denoiser, profile, 2, images=9, forward=forward, limit=2.5) > 0
        assert batches == [size, size]


@pytest.mark.parametrize(
    ("wanted", "images", "precision"),
    [("auto", 8, "fp32"), ("auto", 500, "bf16"), ("bf16", 8, "bf16"), ("fp32", 500, "fp32")],
)
def test_the_precision_of_a_grid_is_that_of_training(monkeypatch, wanted, images, precision):
    monkeypatch.setattr(
        sampling_probe, "choose_precision", lambda name, _: "bf16" if name == "auto" else name
    )
    settings = tiny_profile(sampling={"precision": wanted}).sampling
    assert guess_precision(settings, torch.device("cpu"), images) == precision
