"""The tuner on a closed-form denoiser: fewer calls, and an error that is measured honestly."""

import pytest
import torch

from iddm_cli.diffusion.schedules import cosine_schedule, linear_schedule
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m
from iddm_cli.diffusion.time_grids import TimeGrid, trailing
from iddm_cli.diffusion.tuning import tuner as module
from iddm_cli.diffusion.tuning.fine_sampler import measure_error, sample_end
from iddm_cli.diffusion.tuning.tuner import SamplerTuner
from tests.diffusion.tuning.mixture import labels, mixture, noises

COUNT = 64


def make_tuner(schedule, denoise=None) -> SamplerTuner:
    denoise = denoise or mixture(schedule)
    return SamplerTuner(denoise, schedule, noises(COUNT), labels(COUNT), teacher_calls=40)


@pytest.mark.parametrize("build", [cosine_schedule, linear_schedule])
def test_five_tuned_calls_are_much_nearer_to_the_exact_image_than_five_others(build):
    schedule = build(1000)
    tuner = make_tuner(schedule)
    tuner.follow_teacher()
    tuned = tuner.tune(5)
    denoise, fresh = mixture(schedule), noises(200, seed=9)
    even = TimeGrid(trailing, schedule)
    exact = sample_end(denoise, dpmpp_2m(schedule, even, 500), fresh, labels(200))
    errors = {
        name: measure_error(sample_end(denoise, table, fresh, labels(200)), exact)
        for name, table in (("tuned", tuned.table), ("untuned", dpmpp_2m(schedule, even, 5)))
    }
    assert errors["tuned"] < 0.5 * errors["untuned"]
    assert tuned.is_fitted
    assert tuned.error == pytest.approx(errors["tuned"], rel=0.3)
    assert tuned.untuned_error == pytest.approx(errors["untuned"], rel=0.3)


def test_more_calls_are_nearer():
    tuner = make_tuner(linear_schedule(1000))
    tuner.follow_teacher()
    errors = [tuner.tune(calls).error for calls in (2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True)


def test_noises_that_are_held_out_change_neither_times_nor_coefficients():
    schedule = cosine_schedule(200)
    tables = []
    for seed in (1, 2):
        noise = noises(COUNT)
        noise[56:] = noises(8, seed=seed)
        tuner = SamplerTuner(mixture(schedule), schedule, noise, labels(COUNT), teacher_calls=20)
        tuner.follow_teacher()
        tables.append(tuner.tune(4))
    assert tables[0].table.times == tables[1].table.times
    assert torch.equal(tables[0].table.coefficients, tables[1].table.coefficients)
    assert tables[0].error != tables[1].error


def test_a_fit_that_helps_nothing_is_not_kept(monkeypatch):
    schedule = cosine_schedule(200)

    def spoil(denoise, known, *rest):
        return type(known)(known.times, known.coefficients * 2)

    monkeypatch.setattr(module, "fit_table", spoil)
    tuner = make_tuner(schedule)
    tuner.follow_teacher()
    tuned = tuner.tune(4)
    assert not tuned.is_fitted
    assert tuned.error <= tuned.untuned_error


def test_half_of_the_teachers_calls_are_the_most():
    assert make_tuner(cosine_schedule(1000)).most_calls == 20
    assert make_tuner(cosine_schedule(9)).most_calls == 4
