"""The ways of generating that are evaluated: checkpoint, weights and sampling settings of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli.workflows import models
from iddm_cli.workflows.evaluating.request import EvaluationRequest

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.profiles.profile import ResolvedProfile

NAMES = {
    "step": "step {}", "weights": "{} weights", "sampler": "{}", "steps": "{} steps",
    "guidance": "guidance {:g}", "eta": "eta {:g}",
}  # fmt: skip
"""How each setting is written in a title."""


@dataclass(frozen=True)
class SamplingChoice:
    """One way of generating images with a model.

    Attributes:
        profile: The profile, with the sampling section to use.
        source: The weights.
    """

    profile: "ResolvedProfile"
    source: "WeightsSource"

    def describe(self) -> dict[str, object]:
        """Return what tells it from others, by the keys of NAMES."""
        from iddm_cli.profiles.choices import SAMPLERS, usual_steps

        sampling = self.profile.sampling
        timesteps = self.profile.diffusion.timesteps
        settings: dict[str, object] = {
            "step": self.source.step,
            "weights": sampling.weights,
            "sampler": sampling.sampler,
            "steps": sampling.steps or usual_steps(sampling.sampler, timesteps),
            "guidance": sampling.guidance,
        }
        if "eta" in SAMPLERS[sampling.sampler].options:
            settings["eta"] = sampling.eta
        return settings


def list_choices(model: models.ModelSource, request: EvaluationRequest) -> list[SamplingChoice]:
    """Return every combination of the settings asked for, each once.

    Raises:
        IddmError: A setting is invalid, or a checkpoint does not exist.
    """
    choices: list[SamplingChoice] = []
    for checkpoint, options in request.grid.combinations():
        given = {
            **options,
            "--batch-size sampling.batch_size": request.batch_size,
            "--device runtime.device": request.device,
        }
        profile = models.load_sampling_profile(model, given)
        source = model.open_weights(checkpoint, profile.sampling.weights)
        choice = SamplingChoice(profile, source)
        if all(choice.describe() != other.describe() for other in choices):
            choices.append(choice)
    return choices


def name_choices(choices: Sequence[SamplingChoice]) -> list[str]:
    """Return a title for each choice: what differs between them, or everything of a single one."""
    described = [choice.describe() for choice in choices]
    # A sampler without eta does not differ from others in it.
    differing = [
        key for key in NAMES if len({repr(one[key]) for one in described if key in one}) > 1
    ]
    keys = differing or [key for key in NAMES if key not in ("weights", "eta")]
    return [
        ", ".join(NAMES[key].format(one[key]) for key in keys if key in one) for one in described
    ]
