"""Jobs: the requests for pictures, and how far each is."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from iddm_cli.image_files import SamplingMetadata
from iddm_cli.serving.scheduling.batcher import InFlightSample, SamplePlan
from iddm_cli.serving.scheduling.served_model import ServedModel

JobState = Literal["waiting", "running", "done", "cancelled", "late", "failed"]


@dataclass(frozen=True)
class JobStatus:
    """How far a job is.

    Attributes:
        id: The job's id.
        model: The model's name.
        state: Waiting, running, or how it ended.
        place: Jobs that wait before it.
        count: Pictures wanted.
        pictures: Pictures finished.
        step: Steps taken, of all its pictures together.
        steps: Steps that there are to take.
    """

    id: str
    model: str
    state: JobState
    place: int
    count: int
    pictures: int
    step: int
    steps: int


@dataclass(eq=False)
class GenerationJob:
    """The pictures of one request.

    Attributes:
        model: Who draws them.
        plan: How.
        recipe: The same, as the files say it.
        count: How many: those of index 0 to count - 1.
        deadline: When nobody waits for them any more, by time.monotonic().
        changed: Called, from any thread, when something has happened.
        id: A word that nobody can guess.
        pixels: The pictures that are finished, by index, uint8, [H, W, C].
    """

    model: ServedModel
    plan: SamplePlan
    recipe: SamplingMetadata
    count: int
    deadline: float
    changed: Callable[[], None] = lambda: None
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    state: JobState = "waiting"
    samples: list[InFlightSample] = field(default_factory=list)
    pixels: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.samples = [InFlightSample(self.plan, index) for index in range(self.count)]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("waiting", "running")

    @property
    def name(self) -> str:
        """The class's name; empty without."""
        return self.model.classes[self.plan.label] if self.model.classes else ""

    @property
    def steps_done(self) -> int:
        """Steps taken, of all pictures together."""
        return sum(sample.steps_done for sample in self.samples)

    @property
    def total_steps(self) -> int:
        """Steps that there are to take."""
        return self.count * len(self.plan.table)

    def status(self, place: int = 0) -> JobStatus:
        """Return how far it is, `place` others waiting before it."""
        return JobStatus(
            self.id,
            self.model.name,
            self.state,
            place,
            self.count,
            len(self.pixels),
            self.steps_done,
            self.total_steps,
        )

    def open(self) -> Iterator[InFlightSample]:
        """Return the pictures that are not finished, those that began first at the front."""
        return (sample for sample in self.samples if not sample.finished)
