"""The ways of generating that are evaluated: checkpoint, weights and sampling settings of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError
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
        step = find_step(model, checkpoint)
        choice = SamplingChoice(profile, model.open_weights(step, profile.sampling.weights))
        if all(choice.describe() != other.describe() for other in choices):
            choices.append(choice)
    return choices


def find_step(model: models.ModelSource, text: str) -> int | None:
    """Return the step of a checkpoint: a number, "best", or None for "last".

    Raises:
        UsageError: The text is none of these, or the run keeps no best checkpoint.
    """
    from iddm_cli.classes import is_index

    if text == "last":
        return None
    if text == "best":
        return model.find_best_step()
    digits = text.removeprefix("step-")
    if not is_index(digits):
        raise UsageError(
            f"--checkpoint {text} is not a step", "Write numbers such as 500, last or best."
        )
    return int(digits)


def name_choices(choices: Sequence[SamplingChoice]) -> list[str]:
    """Return a title for each choice: what differs between them, or everything of a single one."""
    described = [choice.describe() for choice in choices]
    differing = [key for key in NAMES if len({repr(one.get(key)) for one in described}) > 1]
    keys = differing or [key for key in NAMES if key not in ("weights", "eta")]
    return [
        ", ".join(NAMES[key].format(one[key]) for key in keys if key in one) for one in described
    ]
