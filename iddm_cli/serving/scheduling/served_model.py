"""The model that is served: a trained denoiser with all that a request may ask about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.image_generator import build_solver_table
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.profiles.choices import SAMPLER_SPECIFIC
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.serving.scheduling.batch_invariant import BatchInvariantDenoiser
from iddm_cli.serving.scheduling.batcher import InFlightSample, SamplePlan, take_step


@dataclass(frozen=True)
class ServedModel:
    """A trained denoiser, ready to draw.

    Attributes:
        name: The run's name, by which requests call it.
        reference: What `iddm generate` calls it: the run's name, or an exported file's.
        trained: Updates done.
        classes: Names of the classes, by index; empty without.
        shape: Channels, height and width of a picture.
        sampling: How pictures are drawn where a request does not say.
        denoiser: On its device, in evaluation mode.
        exact: The same, for batches of several people's pictures.
    """

    name: str
    reference: str
    trained: int
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    sampling: SamplingSettings
    denoiser: Denoiser
    exact: BatchInvariantDenoiser

    def advance(self, samples: Sequence[InFlightSample]) -> None:
        """Take the next step of each picture, all as one batch."""
        take_step(
            self.exact,
            samples,
            shape=self.shape,
            device=self.denoiser.schedule.alpha.device,
            no_label=len(self.classes),
            clip=self.sampling.clip,
        )

    def settings(
        self, sampler: str | None, steps: int | None, guidance: float | None
    ) -> SamplingSettings:
        """Return the settings of a request; None is what the run's profile says.

        Another sampler alone takes its own usual number of steps.
        """
        usual = self.sampling.model_dump()
        if sampler is not None and sampler != self.sampling.sampler:
            usual |= SAMPLER_SPECIFIC
        asked = {"sampler": sampler, "steps": steps, "guidance": guidance}
        given = {key: value for key, value in asked.items() if value is not None}
        return SamplingSettings.model_validate(usual | given)

    def plan(self, settings: SamplingSettings, *, label: int, seed: int) -> SamplePlan:
        """Return how a picture is drawn; in a model without classes the label is 0."""
        table = build_solver_table(settings, self.denoiser.schedule)
        return SamplePlan(table, label, seed, settings.guidance)

    def recipe(self, settings: SamplingSettings, plan: SamplePlan) -> SamplingMetadata:
        """Return what is written into the pictures of a request."""
        return SamplingMetadata(
            run=self.name,
            step=self.trained,
            weights=settings.weights,
            seed=plan.seed,
            sampler=settings.sampler,
            steps=len(plan.table),
            eta=settings.eta,
            guidance=settings.guidance,
        )
