"""The model that is served: a trained denoiser with all that a request may ask about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.image_generator import solver_steps
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.profiles.settings import SAMPLER_SPECIFIC, SamplingSettings
from iddm_cli.serving.scheduling.batch_invariant import Exact
from iddm_cli.serving.scheduling.batcher import Drawing, Plan, step


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
    exact: Exact

    def step(self, drawings: Sequence[Drawing]) -> None:
        """Take the next step of each picture, all as one batch."""
        step(
            self.exact,
            drawings,
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

    def plan(self, settings: SamplingSettings, *, label: int, seed: int) -> Plan:
        """Return how a picture is drawn; in a model without classes the label is 0."""
        steps = solver_steps(settings, self.denoiser.schedule)
        return Plan(steps, label, seed, settings.guidance)

    def recipe(self, settings: SamplingSettings, plan: Plan) -> SamplingMetadata:
        """Return what is written into the pictures of a request."""
        return SamplingMetadata(
            run=self.name,
            step=self.trained,
            weights=settings.weights,
            seed=plan.seed,
            sampler=settings.sampler,
            steps=len(plan.steps),
            eta=settings.eta,
            guidance=settings.guidance,
        )
