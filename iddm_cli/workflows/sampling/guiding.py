"""The weaker model of autoguidance, as `--guide-with` names it: RUN, RUN@STEP or @STEP."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.classes import is_index
from iddm_cli.errors import RunError, UsageError
from iddm_cli.records.weights_names import part_of_weights
from iddm_cli.workflows import models
from iddm_cli.workflows.latents.own_encoder import list_decoder_facts
from iddm_cli.workflows.training.resuming.changes import format_value

if TYPE_CHECKING:
    import torch

    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.diffusion.denoiser import Denoiser
    from iddm_cli.profiles.overrides import Override
    from iddm_cli.profiles.profile import ResolvedProfile

FORMS = (
    "Write @STEP for an earlier checkpoint of the same run, RUN@STEP for one of another run, or "
    "RUN for its last one."
)
NEEDED = (
    "A model that guides needs the image size, channels, noise schedule, classes and range of "
    "values of the model that generates."
)


@dataclass(frozen=True)
class GuidingModel:
    """A weaker model that guides another one.

    Attributes:
        name: RUN@STEP, as --guide-with takes it.
        profile: Its profile, whose `sampling.weights` names the weights to read.
        source: Its weights.
        num_classes: Number of its classes.
    """

    name: str
    profile: "ResolvedProfile"
    source: "WeightsSource"
    num_classes: int

    def digest(self) -> str:
        """Return the digest of its weights, in hexadecimal digits."""
        return digest_weights(self.profile, self.source)

    def list_facts(self) -> list[object]:
        """Return what images depend on through it, as JSON."""
        return [self.digest(), self.profile.model.model_dump(), self.profile.diffusion.model_dump()]

    def load_denoiser(self, device: "torch.device") -> "Denoiser":
        """Load its denoiser.

        Raises:
            CheckpointError: The weights are damaged, or belong to another network.
        """
        from iddm_cli.build.models import load_denoiser

        weights = self.profile.sampling.weights
        return load_denoiser(self.profile, self.num_classes, self.source, weights, device)


def digest_weights(profile: "ResolvedProfile", source: "WeightsSource") -> str:
    """Return the digest of the weights that a profile samples from."""
    return source.digest(part_of_weights(profile.sampling.weights))


def find_guiding_model(
    text: str | None,
    model: models.ModelSource,
    profile: "ResolvedProfile",
    source: "WeightsSource",
    runs_dir: Path | None,
) -> GuidingModel | None:
    """Return the model that --guide-with names; None where the option is not given.

    Args:
        text: The value of --guide-with.
        model: The model that generates.
        profile: Its profile.
        source: Its weights.
        runs_dir: Folder of all runs; None: the usual one.

    Raises:
        UsageError: It is the model that generates, or does not match it; the message says in what.
        RunError: There is no such model or checkpoint; the hint lists the checkpoints there are.
    """
    if text is None:
        return None
    reference, step = parse_guide(text)
    try:
        guide = models.find_model(runs_dir, reference) if reference else model
        guide_profile = guide.load_profile(_same_weights(profile))
        weights = guide.open_weights(step, guide_profile.sampling.weights)
        same = digest_weights(guide_profile, weights) == digest_weights(profile, source)
    except (UsageError, RunError) as error:
        raise type(error)(f"--guide-with {text}: {error.problem}", error.hint) from error
    name = f"{guide.reference}@{weights.step}"
    if same:
        raise UsageError(
            f"--guide-with {text}: {name} is the model that generates, and cannot guide itself",
            f"Name an earlier checkpoint, or another run. {describe_steps(guide)}".strip(),
        )
    if differences := list(list_differences(model, profile, guide, guide_profile)):
        raise UsageError(
            f"--guide-with {text}: {name} cannot guide {model.name}: {', and '.join(differences)}",
            NEEDED,
        )
    return GuidingModel(name, guide_profile, weights, len(guide.classes))


def check_scale(guide: GuidingModel | None, scale: float) -> None:
    """Check that a guiding model has an effect.

    Raises:
        UsageError: The guidance scale is 1.
    """
    if guide is not None and scale == 1:
        raise UsageError(
            f"--guide-with {guide.name} has no effect: sampling.guidance is 1",
            "Add --guidance 2, or another scale above 1.",
        )


def parse_guide(text: str) -> tuple[str, models.CheckpointChoice]:
    """Parse --guide-with; return the reference of the model, "" for the same one, and the step.

    Raises:
        UsageError: The text is not RUN, RUN@STEP or @STEP.
    """
    reference, at, step = text.rpartition("@")
    digits = step.removeprefix("step-")
    if at and is_index(digits):
        return reference, int(digits)
    if at and step == "best":
        return reference, "best"
    if at and reference and step == "last":
        return reference, None
    if not text or text.startswith("@"):
        raise UsageError(f"--guide-with {text or repr(text)} names no model", FORMS)
    return text, None


def describe_steps(model: models.ModelSource) -> str:
    """Return a sentence with the checkpoints of a run; "" for an exported file, which has one."""
    if not isinstance(model, models.RunModel):
        return ""
    from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder

    steps = CheckpointFolder(model.run.checkpoints_dir).steps()
    return f"Available steps: {', '.join(map(str, steps))}."


def list_differences(
    model: models.ModelSource,
    profile: "ResolvedProfile",
    guide: models.ModelSource,
    guide_profile: "ResolvedProfile",
) -> Iterator[str]:
    """Yield in what a guiding model does not match the model that generates, as clauses."""
    ours, theirs = profile.data, guide_profile.data
    if ours.size != theirs.size:
        sizes = ["x".join(map(str, each.size)) for each in (theirs, ours)]
        yield "its image size is {}, not {}".format(*sizes)
    if list_decoder_facts(model, profile) != list_decoder_facts(guide, guide_profile):
        yield "it was trained on other latents"
    if ours.channels != theirs.channels:
        yield f"it has {theirs.channels} channels, not {ours.channels}"
    if guide_profile.model.is_upscaler != profile.model.is_upscaler:
        yield "only one of them upscales images"
    if ours.crop_position != theirs.crop_position:
        yield "only one of them knows the positions of crops"
    for key in ("schedule", "timesteps", "noise_shift", "zero_terminal_snr"):
        own, other = getattr(profile.diffusion, key), getattr(guide_profile.diffusion, key)
        if own != other:
            yield f"its diffusion.{key} is {format_value(other)}, not {format_value(own)}"
    if len(model.classes) != len(guide.classes):
        yield f"it has {len(guide.classes) or 'no'} classes, not {len(model.classes) or 'none'}"
    elif model.classes != guide.classes:
        pairs = zip(guide.classes, model.classes, strict=True)
        label, (other, own) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        yield f"its class {label} is {other}, not {own}"
    if model.values != guide.values:
        yield f"its values are {guide.values.describe()}, not {model.values.describe()}"


def _same_weights(profile: "ResolvedProfile") -> "list[Override]":
    """Return the override by which a guiding model uses the weights that generate."""
    from iddm_cli.profiles.overrides import Override

    return [Override("sampling.weights", profile.sampling.weights, "--weights")]
