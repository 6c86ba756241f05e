"""Generation jobs: requests for images, and their progress."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from torch import Tensor

from iddm_cli.image_files import SamplingMetadata
from iddm_cli.serving.scheduling.batcher import InFlightSample, SamplePlan
from iddm_cli.serving.scheduling.served_model import ServedModel


class JobState(StrEnum):
    """The state of a job; the values are part of the HTTP interface."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    TIMED_OUT = "late"
    FAILED = "failed"


@dataclass(frozen=True)
class JobStatus:
    """A snapshot of a job's progress.

    Attributes:
        id: The job's id.
        model: The model's name.
        state: The job's state.
        queue_position: Number of jobs that wait ahead of it.
        count: Images requested.
        images_done: Images finished.
        steps_done: Solver steps taken, summed over all images.
        total_steps: Solver steps in total, summed over all images.
    """

    id: str
    model: str
    state: JobState
    queue_position: int
    count: int
    images_done: int
    steps_done: int
    total_steps: int


@dataclass(eq=False)
class GenerationJob:
    """The images of one request.

    Attributes:
        model: The model that generates them.
        plan: How they are sampled.
        metadata: The sampling settings as written into the image files.
        count: Number of images, with indices 0 to count - 1.
        deadline: Time at which the job times out, by `time.monotonic()`.
        source_name: What its files record as the name of the image that is upscaled; "": none is.
        on_change: Called, from any thread, after each change of the job.
        id: An unguessable id.
        pixels: The finished images by index, [H, W, C], see `to_pixels`.
    """

    model: ServedModel
    plan: SamplePlan
    metadata: SamplingMetadata
    count: int
    deadline: float
    source_name: str = ""
    on_change: Callable[[], None] = lambda: None
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    state: JobState = JobState.WAITING
    samples: list[InFlightSample] = field(default_factory=list)
    pixels: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.samples = [InFlightSample(self.plan, index) for index in range(self.count)]

    @property
    def ended(self) -> bool:
        """Whether the job is over, successfully or not."""
        return self.state not in (JobState.WAITING, JobState.RUNNING)

    @property
    def class_name(self) -> str:
        """The name of the class; empty without one."""
        classes, label = self.model.classes, self.plan.label
        return classes[label] if label < len(classes) else ""

    def text_notes(self, index: int) -> dict[str, str]:
        """Return the text chunks of an image's file, see `SamplingMetadata.text_notes`."""
        if not self.source_name:
            return self.metadata.text_notes(index, self.class_name)
        noise_index, source = self.plan.find_noise_index(index), {"from": self.source_name}
        return self.metadata.text_notes(noise_index, self.class_name, source)

    @property
    def steps_done(self) -> int:
        """Solver steps taken, summed over all images."""
        return sum(sample.steps_done for sample in self.samples)

    @property
    def total_steps(self) -> int:
        """Solver steps in total, summed over all images."""
        return self.count * len(self.plan.table)

    def status(self, queue_position: int = 0) -> JobStatus:
        """Return a snapshot of the job, `queue_position` others waiting ahead of it."""
        return JobStatus(
            id=self.id,
            model=self.model.name,
            state=self.state,
            queue_position=queue_position,
            count=self.count,
            images_done=len(self.pixels),
            steps_done=self.steps_done,
            total_steps=self.total_steps,
        )

    def unfinished_samples(self) -> Iterator[InFlightSample]:
        """Return the unfinished samples, those that started first at the front."""
        return (sample for sample in self.samples if not sample.finished)
