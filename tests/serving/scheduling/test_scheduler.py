"""The scheduler: which job runs, waits or is rejected, and whose slot is freed."""

import threading

import pytest
import torch

from iddm_cli.serving.scheduling.jobs import GenerationJob, JobState
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.scheduler import QueueFullError, RequestScheduler, StoppingError
from tests.serving.conftest import make_model, make_upscaler

from .conftest import make_job, make_upscale_job


def make_scheduler(*jobs: GenerationJob, max_batch=4, max_queue=2) -> RequestScheduler:
    scheduler = RequestScheduler(Limits(max_batch=max_batch, max_queue=max_queue))
    for job in jobs:
        scheduler.submit(job)
    return scheduler


def take_step(scheduler: RequestScheduler) -> list:
    """Take a step without a network; return the plan of each sample that took it."""
    _, samples = scheduler.next_batch()
    for sample in samples:
        sample.steps_done += 1
    scheduler.complete_step(samples, {s: torch.zeros(1) for s in samples if s.finished})
    return [sample.plan for sample in samples]


def test_every_running_job_has_a_sample_in_every_step(model):
    large, small = make_job(model, 64), make_job(model)
    scheduler = make_scheduler(large)
    assert take_step(scheduler) == [large.plan] * 4
    scheduler.submit(small)
    assert take_step(scheduler).count(small.plan) == 1, "it joins the next step of a running batch"
    while not small.ended:
        assert small.plan in take_step(scheduler)
    assert take_step(scheduler) == [large.plan] * 4


def test_a_batch_is_divided_evenly(model):
    jobs = [make_job(model, 8), make_job(model, 8), make_job(model, 1)]
    step = take_step(make_scheduler(*jobs, max_batch=7))
    assert [step.count(job.plan) for job in jobs] == [3, 3, 1]


def test_models_take_turns(model):
    scheduler = make_scheduler(make_job(model, 9), make_job(make_model("other"), 9))
    _, first = scheduler.next_batch()
    _, second = scheduler.next_batch()
    assert first[0].plan is not second[0].plan


def test_a_batch_has_one_size_sizes_take_turns_and_large_ones_are_fewer(model):
    upscaler = make_upscaler()
    small = [make_upscale_job(upscaler, (4, 8)) for _ in range(3)]
    wide = [make_upscale_job(upscaler, (8, 16)) for _ in range(3)]
    scheduler = make_scheduler(*small, *wide, make_job(model), max_batch=8)
    steps = []
    for _ in range(4):
        chosen, samples = scheduler.next_batch()
        steps.append((chosen.name, {sample.plan.shape for sample in samples}, len(samples)))
    assert steps == [
        ("large", {(3, 8, 16)}, 3),
        ("pets", {(3, 8, 16)}, 1),
        ("large", {(3, 16, 32)}, 2),
        ("pets", {(3, 8, 16)}, 1),
    ]


def test_further_jobs_wait_in_order_and_are_rejected_once_the_queue_is_full(model):
    jobs = [make_job(model) for _ in range(6)]
    scheduler = make_scheduler(*jobs)
    assert scheduler.count_jobs() == {"running": 4, "waiting": 2}
    assert [scheduler.status(job.id).queue_position for job in jobs] == [0, 0, 0, 0, 0, 1]
    with pytest.raises(QueueFullError) as full:
        scheduler.submit(make_job(model))
    assert full.value.retry_after >= 1
    scheduler.cancel(jobs[2])
    assert [job.state for job in jobs[4:]] == ["running", "waiting"], "the first in the queue"
    scheduler.submit(make_job(model))


def test_waiting_jobs_are_notified_when_their_queue_position_changes(model):
    jobs = [make_job(model) for _ in range(4)]
    scheduler, positions = make_scheduler(*jobs, max_batch=1, max_queue=3), []
    jobs[3].on_change = lambda: positions.append(scheduler._queue_position(jobs[3]))
    for ahead in jobs[:2]:
        scheduler.cancel(ahead)
    assert positions == [1, 0]


def test_a_full_queue_of_one_model_rejects_no_job_of_another(model):
    scheduler = make_scheduler(*(make_job(model) for _ in range(6)))
    scheduler.submit(make_job(make_model("other")))


def test_a_cancelled_job_takes_no_further_step(model):
    cancelled, remaining = make_job(model, 2), make_job(model, 2)
    scheduler = make_scheduler(cancelled, remaining)
    take_step(scheduler)
    scheduler.cancel(cancelled)
    assert set(map(id, take_step(scheduler))) == {id(remaining.plan)}
    assert (cancelled.state, scheduler.status(cancelled.id).state) == ("cancelled", "cancelled")


def test_a_job_past_its_deadline_times_out(model):
    expired, remaining = make_job(model, seconds=-1), make_job(model)
    scheduler = make_scheduler(expired, remaining)
    assert take_step(scheduler) == [remaining.plan]
    assert expired.state is JobState.TIMED_OUT


def test_a_finished_job_stays_finished(model):
    job = make_job(model, steps=1)
    scheduler = make_scheduler(job)
    take_step(scheduler)
    scheduler.cancel(job)
    assert (job.state, len(job.pixels)) == ("done", 1)


def test_samples_of_a_job_start_in_order_so_that_few_are_in_progress(model):
    scheduler = make_scheduler(job := make_job(model, 6, steps=3), max_batch=2)
    for _ in range(4):
        take_step(scheduler)
    assert [sample.steps_done for sample in job.samples] == [3, 3, 1, 1, 0, 0]


def test_a_stopping_scheduler_rejects_new_jobs_and_finishes_the_rest(model):
    scheduler = make_scheduler(job := make_job(model, steps=1))
    scheduler.stop()
    with pytest.raises(StoppingError):
        scheduler.submit(make_job(model))
    take_step(scheduler)
    assert job.state == "done"
    assert scheduler.next_batch() is None


def test_the_oldest_ended_jobs_are_forgotten(model, monkeypatch):
    monkeypatch.setattr("iddm_cli.serving.scheduling.scheduler.MAX_ENDED_JOBS", 2)
    jobs = [make_job(model) for _ in range(3)]
    scheduler = make_scheduler(*jobs)
    for job in jobs:
        scheduler.cancel(job)
    assert [scheduler.status(job.id) is None for job in jobs] == [True, False, False]


def test_submitting_wakes_a_waiting_worker(model):
    scheduler, batches = make_scheduler(), []
    thread = threading.Thread(target=lambda: batches.append(scheduler.next_batch()))
    thread.start()
    scheduler.submit(make_job(model))
    thread.join(5)
    assert len(batches) == 1
