"""The desk: takes the jobs, lets some wait, and says whose turn it is.

The first `max_batch` jobs of a model share it: each has at least one picture in every step, and
what is left of the batch is shared out evenly. Jobs beyond them wait, in the order of arrival.
Models that have jobs take turns, step by step.
"""

import threading
import time
from collections import OrderedDict
from itertools import islice

from torch import Tensor

from iddm_cli.serving.scheduling.batcher import InFlightSample, round_robin
from iddm_cli.serving.scheduling.jobs import GenerationJob, JobState, JobStatus
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.served_model import ServedModel

MAX_ENDED_JOBS = 1000
"""Jobs that have ended and whose status can still be asked for."""


class QueueFullError(Exception):
    """As many jobs wait as may: `seconds` is when to ask again."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


class StoppingError(Exception):
    """The server takes no new jobs: it is about to stop."""


class RequestScheduler:
    """Takes jobs from many threads and hands out whose turn it is to one.

    Args:
        limits: How many jobs it takes.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stopping = False
        self._jobs: OrderedDict[str, GenerationJob] = OrderedDict()
        self._ended: OrderedDict[str, JobStatus] = OrderedDict()
        self._news = threading.Condition()
        self._turn = 0
        self._speed = 0.0

    def submit(self, job: GenerationJob) -> None:
        """Take a job.

        Raises:
            QueueFullError: Too many wait.
            StoppingError: The server is about to stop.
        """
        with self._news:
            if self.stopping:
                raise StoppingError
            waiting = self._count("waiting")
            if self._sharing(job.model) >= self.limits.max_batch and waiting >= self.limits.queue:
                raise QueueFullError(self._seconds_to_wait())
            self._jobs[job.id] = job
            self._admit()
            self._news.notify()

    def cancel(self, job: GenerationJob) -> None:
        """Free the place of a job that nobody waits for; one that has ended stays as it is."""
        with self._news:
            self._end(job, "cancelled")

    def status(self, name: str) -> JobStatus | None:
        """Return how far the job of that id is, also one that has ended lately."""
        with self._news:
            job = self._jobs.get(name)
            return job.status(self._place(job)) if job else self._ended.get(name)

    def cancel_by_id(self, name: str) -> JobStatus | None:
        """Cancel the job of that id, and return how it ended."""
        with self._news:
            if job := self._jobs.get(name):
                self._end(job, "cancelled")
            return self._ended.get(name)

    def count_jobs(self) -> dict[str, int]:
        """Return how many jobs run and how many wait."""
        with self._news:
            return {state: self._count(state) for state in ("running", "waiting")}

    def next_batch(self) -> tuple[ServedModel, list[InFlightSample]] | None:
        """Wait until there is something to draw, and return it; None once all is over."""
        with self._news:
            while True:
                self._drop_late()
                if running := [job for job in self._jobs.values() if job.state == "running"]:
                    return self._choose(running)
                if self.stopping:
                    return None
                self._news.wait(1.0)

    def complete_step(
        self, samples: list[InFlightSample], finished: dict[InFlightSample, Tensor]
    ) -> None:
        """Note that pictures took a step, and which are finished by that."""
        with self._news:
            for job in self._owners(samples):
                job.pixels |= {d.index: p for d, p in finished.items() if d.plan is job.plan}
                if len(job.pixels) == job.count:
                    self._end(job, "done")
                else:
                    job.changed()

    def failed(self, samples: list[InFlightSample]) -> None:
        """End the jobs of pictures that cannot be drawn."""
        with self._news:
            for job in self._owners(samples):
                self._end(job, "failed")

    def stop(self, *, at_once: bool = False) -> None:
        """Take no new jobs, and forget those there are too if it must be at once."""
        with self._news:
            self.stopping = True
            for job in list(self._jobs.values()) if at_once else []:
                self._end(job, "cancelled")
            self._news.notify()

    def update_throughput(self, steps_per_second: float) -> None:
        """Note how fast pictures take steps, for those who ask when to come back."""
        self._speed = (
            0.9 * self._speed + 0.1 * steps_per_second if self._speed else steps_per_second
        )

    def _choose(self, running: list[GenerationJob]) -> tuple[ServedModel, list[InFlightSample]]:
        names = sorted({job.model.name for job in running})
        self._turn += 1
        name = names[self._turn % len(names)]
        mine = [job for job in running if job.model.name == name]
        most = self.limits.max_batch
        queues = [list(islice(job.open(), most)) for job in mine]
        return mine[0].model, round_robin(queues, most)

    def _owners(self, samples: list[InFlightSample]) -> list[GenerationJob]:
        plans = {id(sample.plan) for sample in samples}
        return [job for job in self._jobs.values() if id(job.plan) in plans]

    def _place(self, job: GenerationJob) -> int:
        waiting = [other.id for other in self._jobs.values() if other.state == "waiting"]
        return waiting.index(job.id) if job.id in waiting else 0

    def _admit(self) -> None:
        """Let those who wait the longest in, where there is room."""
        for job in self._jobs.values():
            if job.state == "waiting" and self._sharing(job.model) < self.limits.max_batch:
                job.state = "running"
                job.changed()

    def _end(self, job: GenerationJob, state: JobState) -> None:
        if self._jobs.pop(job.id, None) is None:
            return
        job.state = state
        self._ended[job.id] = job.status()
        while len(self._ended) > MAX_ENDED_JOBS:
            self._ended.popitem(last=False)
        self._admit()
        job.changed()
        for other in self._jobs.values():
            if other.state == "waiting":
                other.changed()  # its place in the queue

    def _drop_late(self) -> None:
        now = time.monotonic()
        for job in [job for job in self._jobs.values() if job.deadline < now]:
            self._end(job, "late")

    def _sharing(self, model: ServedModel) -> int:
        return sum(j.state == "running" and j.model is model for j in self._jobs.values())

    def _count(self, state: str) -> int:
        return sum(job.state == state for job in self._jobs.values())

    def _seconds_to_wait(self) -> int:
        """Guess when a place is free: when half of all there is to do will be done."""
        left = sum(job.total_steps - job.steps_done for job in self._jobs.values())
        return min(60, max(1, round(left / 2 / self._speed))) if self._speed else 1
