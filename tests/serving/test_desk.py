"""The desk: whose turn it is, who waits, who is turned away, and whose place is freed."""

import threading
import time

import pytest
import torch

from iddm_cli.serving.scheduling.jobs import GenerationJob
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.scheduler import QueueFullError, RequestScheduler, StoppingError

from .conftest import make_model


def job(model, count=1, seconds=60.0, **settings) -> GenerationJob:
    asked = model.settings(**({"sampler": None, "steps": None, "guidance": None} | settings))
    plan = model.plan(asked, label=0, seed=0)
    return GenerationJob(model, plan, model.recipe(asked, plan), count, time.monotonic() + seconds)


def scheduler(*jobs: GenerationJob, max_batch=4, queue=2) -> RequestScheduler:
    made = RequestScheduler(Limits(max_batch=max_batch, queue=queue))
    for one in jobs:
        made.submit(one)
    return made


def take_step(scheduler: RequestScheduler) -> list:
    """Take a step without a network; return whose pictures took it."""
    _, samples = scheduler.next_batch()
    for sample in samples:
        sample.steps_done += 1
    scheduler.complete_step(samples, {d: torch.zeros(1) for d in samples if d.finished})
    return [sample.plan for sample in samples]


def test_every_job_that_runs_has_a_picture_in_every_step(model):
    large, small = job(model, 64), job(model)
    made = scheduler(large)
    assert take_step(made) == [large.plan] * 4
    made.submit(small)
    assert take_step(made).count(small.plan) == 1, "it joins the next step of a running batch"
    while not small.ended:
        assert small.plan in take_step(made)
    assert take_step(made) == [large.plan] * 4


def test_a_batch_is_shared_out_evenly(model):
    jobs = [job(model, 8), job(model, 8), job(model, 1)]
    step = take_step(scheduler(*jobs, max_batch=7))
    assert [step.count(one.plan) for one in jobs] == [3, 3, 1]


def test_models_take_turns(model):
    other = make_model("other")
    made = scheduler(job(model, 9), job(other, 9))
    _, first = made.next_batch()
    _, second = made.next_batch()
    assert first[0].plan is not second[0].plan


def test_jobs_beyond_the_batch_wait_in_order_and_then_are_refused(model):
    jobs = [job(model) for _ in range(6)]
    made = scheduler(*jobs)
    assert made.count_jobs() == {"running": 4, "waiting": 2}
    assert [made.status(one.id).place for one in jobs] == [0, 0, 0, 0, 0, 1]
    with pytest.raises(QueueFullError) as full:
        made.submit(job(model))
    assert full.value.seconds >= 1
    made.cancel(jobs[2])
    assert [one.state for one in jobs[4:]] == ["running", "waiting"], "the first who waited goes on"
    made.submit(job(model))


def test_those_who_wait_hear_of_it_when_their_place_has_changed(model):
    jobs = [job(model) for _ in range(4)]
    made, places = scheduler(*jobs, max_batch=1, queue=3), []
    jobs[3].changed = lambda: places.append(made._place(jobs[3]))
    for ahead in jobs[:2]:
        made.cancel(ahead)
    assert places == [1, 0]


def test_one_models_queue_closes_no_other_model(model):
    made = scheduler(*(job(model) for _ in range(6)))
    made.submit(job(make_model("other")))


def test_a_cancelled_job_takes_no_further_step(model):
    gone, stays = job(model, 2), job(model, 2)
    made = scheduler(gone, stays)
    take_step(made)
    made.cancel(gone)
    assert set(map(id, take_step(made))) == {id(stays.plan)}
    assert (gone.state, made.status(gone.id).state) == ("cancelled", "cancelled")


def test_a_job_past_its_deadline_ends(model):
    late, stays = job(model, seconds=-1), job(model)
    made = scheduler(late, stays)
    assert take_step(made) == [stays.plan]
    assert late.state == "late"


def test_a_finished_job_stays_finished(model):
    one = job(model, steps=1)
    made = scheduler(one)
    take_step(made)
    made.cancel(one)
    assert (one.state, len(one.pixels)) == ("done", 1)


def test_pictures_of_one_job_begin_in_order_so_that_few_are_half_done(model):
    made = scheduler(one := job(model, 6, steps=3), max_batch=2)
    for _ in range(4):
        take_step(made)
    assert [sample.steps_done for sample in one.samples] == [3, 3, 1, 1, 0, 0]


def test_a_desk_that_stops_takes_nothing_new_and_lets_the_rest_finish(model):
    made = scheduler(one := job(model, steps=1))
    made.stop()
    with pytest.raises(StoppingError):
        made.submit(job(model))
    take_step(made)
    assert one.state == "done"
    assert made.next_batch() is None


def test_what_has_ended_is_forgotten_in_time(model, monkeypatch):
    monkeypatch.setattr("iddm_cli.serving.scheduling.scheduler.MAX_ENDED_JOBS", 2)
    jobs = [job(model) for _ in range(3)]
    made = scheduler(*jobs)
    for one in jobs:
        made.cancel(one)
    assert [made.status(one.id) is None for one in jobs] == [True, False, False]


def test_a_waiting_worker_is_woken(model):
    made, found = scheduler(), []
    thread = threading.Thread(target=lambda: found.append(made.next_batch()))
    thread.start()
    made.submit(job(model))
    thread.join(5)
    assert len(found) == 1
