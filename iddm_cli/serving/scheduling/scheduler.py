"""The request scheduler: admits jobs, queues them, and chooses the next batch.

The first `max_batch` jobs of a model share it: each has at least one sample in every solver step,
and the rest of the batch is divided evenly. Further jobs wait in order of arrival. Models that
have jobs take turns, step by step, and so do sizes of images of one model.
"""

import threading
import time
from collections import OrderedDict, defaultdict
from itertools import islice

from torch import Tensor

from iddm_cli.serving.scheduling.batcher import InFlightSample, TurnOrder, round_robin
from iddm_cli.serving.scheduling.jobs import GenerationJob, JobState, JobStatus
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.served_model import ServedModel

MAX_ENDED_JOBS = 1000
"""Ended jobs whose status is kept."""

MAX_RETRY_AFTER = 60
"""Longest waiting time, in seconds, that a rejected client is given."""


class QueueFullError(Exception):
    """The queue is full; `retry_after` is the number of seconds after which to try again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class StoppingError(Exception):
    """The server is stopping and accepts no new jobs."""


class RequestScheduler:
    """Accepts jobs from many threads and hands batches to one worker thread.

    Args:
        limits: Number of jobs that may run and wait.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stopping = False
        self._jobs: OrderedDict[str, GenerationJob] = OrderedDict()
        self._ended: OrderedDict[str, JobStatus] = OrderedDict()
        self._changed = threading.Condition()
        self._models = TurnOrder[str]()
        self._sizes: defaultdict[str, TurnOrder[tuple[int, int, int]]] = defaultdict(TurnOrder)
        self._throughput = 0.0

    def submit(self, job: GenerationJob) -> None:
        """Accept a job: start it, or put it into the queue.

        Raises:
            QueueFullError: The queue is full.
            StoppingError: The server is stopping.
        """
        with self._changed:
            if self.stopping:
                raise StoppingError
            if (
                self._count_running(job.model) >= self.limits.max_batch
                and self._count(JobState.WAITING) >= self.limits.max_queue
            ):
                raise QueueFullError(self._estimate_wait())
            self._jobs[job.id] = job
            self._admit()
            self._changed.notify()

    def cancel(self, job: GenerationJob) -> None:
        """Cancel a job and free its slot; a job that has ended stays as it is."""
        with self._changed:
            self._end(job, JobState.CANCELLED)

    def status(self, job_id: str) -> JobStatus | None:
        """Return the status of a job, also if it ended recently; None if it is unknown."""
        with self._changed:
            job = self._jobs.get(job_id)
            return job.status(self._queue_position(job)) if job else self._ended.get(job_id)

    def cancel_by_id(self, job_id: str) -> JobStatus | None:
        """Cancel a job and return its final status; None if it is unknown."""
        with self._changed:
            if job := self._jobs.get(job_id):
                self._end(job, JobState.CANCELLED)
            return self._ended.get(job_id)

    def count_jobs(self) -> dict[str, int]:
        """Return the number of running and of waiting jobs."""
        with self._changed:
            return {
                state.value: self._count(state) for state in (JobState.RUNNING, JobState.WAITING)
            }

    def next_batch(self) -> tuple[ServedModel, list[InFlightSample]] | None:
        """Wait for work and return the next batch; None once the server has stopped."""
        with self._changed:
            while True:
                self._end_timed_out()
                running = [job for job in self._jobs.values() if job.state == JobState.RUNNING]
                if running:
                    return self._choose_batch(running)
                if self.stopping:
                    return None
                self._changed.wait(1.0)

    def complete_step(
        self, samples: list[InFlightSample], finished: dict[InFlightSample, Tensor]
    ) -> None:
        """Record that samples took a step.

        Args:
            samples: All samples of the batch.
            finished: Pixels of those that are finished now, [H, W, C].
        """
        with self._changed:
            for job in self._jobs_of(samples):
                job.pixels |= {s.index: p for s, p in finished.items() if s.plan is job.plan}
                if len(job.pixels) == job.count:
                    self._end(job, JobState.DONE)
                else:
                    job.on_change()

    def fail(self, samples: list[InFlightSample]) -> None:
        """End the jobs of samples that cannot be generated."""
        with self._changed:
            for job in self._jobs_of(samples):
                self._end(job, JobState.FAILED)

    def stop(self, *, cancel_jobs: bool = False) -> None:
        """Accept no new jobs; optionally cancel the remaining ones."""
        with self._changed:
            self.stopping = True
            for job in list(self._jobs.values()) if cancel_jobs else []:
                self._end(job, JobState.CANCELLED)
            self._changed.notify()

    def update_throughput(self, steps_per_second: float) -> None:
        """Update the running mean of sample steps per second, from which waits are estimated."""
        self._throughput = (
            0.9 * self._throughput + 0.1 * steps_per_second
            if self._throughput
            else steps_per_second
        )

    def _choose_batch(
        self, running: list[GenerationJob]
    ) -> tuple[ServedModel, list[InFlightSample]]:
        name = self._models.choose([job.model.name for job in running])
        jobs = [job for job in running if job.model.name == name]
        shape = self._sizes[name].choose([job.plan.shape for job in jobs])
        jobs = [job for job in jobs if job.plan.shape == shape]
        limit = jobs[0].model.limit_batch(shape, self.limits.max_batch)
        queues = [list(islice(job.unfinished_samples(), limit)) for job in jobs]
        return jobs[0].model, round_robin(queues, limit)

    def _jobs_of(self, samples: list[InFlightSample]) -> list[GenerationJob]:
        plans = {id(sample.plan) for sample in samples}
        return [job for job in self._jobs.values() if id(job.plan) in plans]

    def _queue_position(self, job: GenerationJob) -> int:
        waiting = [other.id for other in self._jobs.values() if other.state == JobState.WAITING]
        return waiting.index(job.id) if job.id in waiting else 0

    def _admit(self) -> None:
        """Start waiting jobs, oldest first, while their models have free slots."""
        for job in self._jobs.values():
            waiting = job.state == JobState.WAITING
            if waiting and self._count_running(job.model) < self.limits.max_batch:
                job.state = JobState.RUNNING
                job.on_change()

    def _end(self, job: GenerationJob, state: JobState) -> None:
        if self._jobs.pop(job.id, None) is None:
            return
        job.state = state
        self._ended[job.id] = job.status()
        while len(self._ended) > MAX_ENDED_JOBS:
            self._ended.popitem(last=False)
        self._admit()
        job.on_change()
        for other in self._jobs.values():
            if other.state == JobState.WAITING:
                other.on_change()  # its queue position

    def _end_timed_out(self) -> None:
        now = time.monotonic()
        for job in [job for job in self._jobs.values() if job.deadline < now]:
            self._end(job, JobState.TIMED_OUT)

    def _count_running(self, model: ServedModel) -> int:
        return sum(
            job.state == JobState.RUNNING and job.model is model for job in self._jobs.values()
        )

    def _count(self, state: JobState) -> int:
        return sum(job.state == state for job in self._jobs.values())

    def _estimate_wait(self) -> int:
        """Estimate when a slot is free, in seconds: after half of the remaining work."""
        if not self._throughput:
            return 1
        steps_left = sum(job.total_steps - job.steps_done for job in self._jobs.values())
        return min(MAX_RETRY_AFTER, max(1, round(steps_left / 2 / self._throughput)))
