"""The ways of generating that are evaluated: checkpoint, weights and sampling settings of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.image_files import format_interval
from iddm_cli.workflows import models
from iddm_cli.workflows.evaluating.request import EvaluationRequest
from iddm_cli.workflows.latents.own_encoder import load_model_decoder
from iddm_cli.workflows.latents.refusal import check_generates
from iddm_cli.workflows.sampling.guiding import GuidingModel, find_guiding_model
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile
from iddm_cli.workflows.tuning.tuned_models import select_tables

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.engine.image_generator import ImageGenerator
    from iddm_cli.profiles.profile import ResolvedProfile

NAMES = {
    "step": "step {}", "weights": "{} weights", "sampler": "{}", "steps": "{} steps",
    "time_grid": "{} grid", "guidance": "guidance {:g}", "guidance_interval": "guidance in {}",
    "guidance_rescale": "rescaled by {:g}", "guide_with": "guided by {}",
    "threshold": "threshold {:g}", "order": "order {:g}", "eta": "eta {:g}", "precision": "{}",
}  # fmt: skip
"""How each setting is written in a title."""

UNTITLED = ("weights", "time_grid", "order", "eta", "precision")
"""What the title of a single way leaves out."""

WITHOUT = {
    "guidance_interval": "guidance at all noise levels",
    "guidance_rescale": "guidance as it is",
    "guide_with": "classifier-free guidance",
    "threshold": "plain clipping",
}
"""The title of what differs from others only in lacking a setting."""


@dataclass(frozen=True)
class SamplingChoice:
    """One way of generating images with a model.

    Attributes:
        profile: The profile, with the sampling section to use.
        source: The weights.
        precision: Precision of the network: fp32, bf16 or fp16.
        guide: The weaker model of autoguidance; None: guidance is classifier-free.
    """

    profile: "ResolvedProfile"
    source: "WeightsSource"
    precision: str
    guide: GuidingModel | None = None

    def describe(self) -> dict[str, object]:
        """Return what tells it from others, by the keys of NAMES."""
        from iddm_cli.profiles.choices import usual_steps

        sampling = self.profile.sampling
        timesteps = self.profile.diffusion.timesteps
        settings: dict[str, object] = {
            "step": self.source.step,
            "weights": sampling.weights,
            "sampler": sampling.sampler,
            "steps": sampling.steps or usual_steps(sampling.sampler, timesteps),
            "time_grid": sampling.grid,
            "guidance": sampling.guidance,
        }
        settings |= sampling.sampler_options
        if sampling.guidance_interval != [0, 1]:
            settings["guidance_interval"] = format_interval(sampling.guidance_interval)
        if sampling.guidance_rescale:
            settings["guidance_rescale"] = sampling.guidance_rescale
        if sampling.threshold:
            settings["threshold"] = sampling.threshold
        if self.guide is not None:
            settings["guide_with"] = self.guide.name
        return {**settings, "precision": self.precision}


def list_choices(
    model: models.ModelSource,
    request: EvaluationRequest,
    progress: ProgressCallback = no_progress,
) -> list[SamplingChoice]:
    """Return every combination of the settings asked for, each once.

    Raises:
        IddmError: A setting is invalid, or a checkpoint does not exist.
    """
    choices: list[SamplingChoice] = []
    for checkpoint, guide_with, options in request.grid.combinations():
        given = {
            **options,
            "--batch-size sampling.batch_size": request.batch_size,
            "--device runtime.device": request.device,
        }
        profile = load_sampling_profile(
            model, given, autoguided=guide_with is not None, upscales=None
        )
        check_generates(profile, model.reference)
        source = model.open_weights(checkpoint, profile.sampling.weights)
        guide = find_guiding_model(guide_with, model, profile, source, request.runs_dir)
        precision = _resolve_precision(model, profile, source, progress, guide)
        choice = SamplingChoice(profile, source, precision, guide)
        if all(choice.describe() != other.describe() for other in choices):
            choices.append(choice)
    return choices


def _resolve_precision(
    model: models.ModelSource,
    profile: "ResolvedProfile",
    source: "WeightsSource",
    progress: ProgressCallback,
    guide: GuidingModel | None,
) -> str:
    """Return the precision of a choice; the weights are loaded only for a comparison."""
    from iddm_cli.build.compute import setup_compute
    from iddm_cli.build.models import build_image_generator
    from iddm_cli.workflows.sampling.sampling_precision import resolve_precision

    compute = setup_compute(profile.runtime)
    tables = select_tables(model, profile, source, guide.name if guide else "")

    def build() -> "ImageGenerator":
        decoder = load_model_decoder(model, profile, compute.device)
        return build_image_generator(
            profile, model.classes, source, compute, model.values, tables=tables, decoder=decoder
        )

    return resolve_precision(model, profile, source, compute.device, build, progress=progress)


def name_choices(choices: Sequence[SamplingChoice]) -> list[str]:
    """Return a title for each choice: what differs between them, or everything of a single one."""
    described = [choice.describe() for choice in choices]
    differing = [key for key in NAMES if _differs(key, described)]
    keys = differing or [key for key in NAMES if key not in UNTITLED]
    return [
        ", ".join(NAMES[key].format(one[key]) for key in keys if key in one) or WITHOUT[keys[0]]
        for one in described
    ]


def _differs(key: str, described: Sequence[Mapping[str, object]]) -> bool:
    """Return whether a setting differs; a sampler does not differ in what it does not take."""
    asked = [one for one in described if key in one or key not in ("order", "eta")]
    return len({repr(one.get(key)) for one in asked}) > 1
