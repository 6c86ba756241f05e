"""A job counts the steps and images of all its samples."""

import dataclasses

import torch

from iddm_cli.serving.scheduling.jobs import JobState
from tests.serving.conftest import make_model, make_upscaler

from .conftest import make_job, make_upscale_job


def test_the_status_sums_over_all_samples(model):
    job = make_job(model, 3, steps=4)
    job.samples[0].steps_done, job.samples[1].steps_done = 4, 1
    job.pixels[0] = torch.zeros(1)
    status = job.status(queue_position=2)
    assert (status.steps_done, status.total_steps) == (5, 12)
    assert (status.images_done, status.count, status.queue_position) == (1, 3, 2)
    assert [sample.index for sample in job.unfinished_samples()] == [1, 2]


def test_ids_differ_and_cannot_be_guessed(model):
    first, second = make_job(model).id, make_job(model).id
    assert first != second
    assert len(first) == 24


def test_a_job_has_ended_unless_it_waits_or_runs(model):
    job = make_job(model)
    ended = []
    for state in JobState:
        job.state = state
        ended.append(job.ended)
    assert ended == [False, False, True, True, True, True]


def test_the_class_name_is_empty_without_classes(model):
    assert make_job(model).class_name == "cat"
    assert make_job(make_model("plain", classes=())).class_name == ""


def test_the_files_of_an_upscaled_image_have_the_notes_of_iddm_upscale():
    job = make_upscale_job(make_upscaler(), seed=7)
    notes = job.text_notes(0)
    assert (notes["iddm:index"], notes["iddm:from"]) == ("1007", "image.png")
    assert (notes["iddm:noise_level"], notes["iddm:class"]) == ("0.2", "dog")
    job.plan = dataclasses.replace(job.plan, label=3)
    assert job.class_name == "", "no label"
    assert "iddm:class" not in job.text_notes(0)
