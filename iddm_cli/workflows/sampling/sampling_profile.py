"""The profile that a trained model samples with: its own, and the options of the command line."""

from typing import TYPE_CHECKING

from iddm_cli.errors import RunError
from iddm_cli.workflows.upscaling.upscaling_models import check_upscales

if TYPE_CHECKING:
    from iddm_cli.profiles.overrides import Override
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.models import ModelSource

GUIDANCE = "sampling.guidance"


def load_sampling_profile(
    model: "ModelSource",
    given: dict[str, object],
    *,
    autoguided: bool = False,
    upscales: bool | None = False,
) -> "ResolvedProfile":
    """Return a model's profile with the options of the command line.

    Where only another sampler is given, its own default number of steps applies.

    Args:
        model: The model.
        given: Values of options, by "--option setting.key"; None where not given.
        autoguided: Whether a weaker model guides, so that --guidance needs no training without
            labels.
        upscales: Whether the model must upscale images, or must not; None: it may.

    Raises:
        IddmError: An option is invalid, or the model is damaged, or of the other kind.
    """
    from iddm_cli.profiles.choices import SAMPLER_SPECIFIC
    from iddm_cli.profiles.overrides import Override, collect_overrides

    overrides: list[Override] = collect_overrides(given)
    profile = model.load_profile([])
    check_ranges(model, profile.data.channels)
    check_upscales(model, profile, wanted=upscales)
    sampler = given["--sampler sampling.sampler"]
    if sampler is not None and sampler != profile.sampling.sampler:
        defaults = [Override(f"sampling.{k}", v, "--sampler") for k, v in SAMPLER_SPECIFIC.items()]
        overrides = [*defaults, *overrides]  # --steps, if given, still takes precedence
    if not autoguided:
        changed = model.load_profile(overrides)
    else:
        guidance = [each for each in overrides if each.key == GUIDANCE]
        changed = model.load_profile([each for each in overrides if each.key != GUIDANCE])
        changed = override_guidance(changed, guidance)
    warn_of_unsuited_sampler(model, changed)
    return resolve_tuned_calls(model, changed)


def override_guidance(profile: "ResolvedProfile", overrides: "list[Override]") -> "ResolvedProfile":
    """Return a profile with another guidance scale, without the rules of classifier-free guidance.

    Raises:
        ProfileError: The scale is out of range.
    """
    from pydantic import ValidationError

    from iddm_cli.errors import ProfileError
    from iddm_cli.profiles.checking.messages import explain_errors
    from iddm_cli.profiles.profile import ResolvedProfile

    sections = profile.model_dump()
    for override in overrides:
        sections["sampling"]["guidance"] = override.value
        try:
            return ResolvedProfile.model_validate(sections)
        except ValidationError as error:
            issue = explain_errors(error)[0]
            raise ProfileError(f"{override.origin}: {issue.problem}", issue.hint) from None
    return profile


def resolve_tuned_calls(model: "ModelSource", profile: "ResolvedProfile") -> "ResolvedProfile":
    """Return a profile in which a tuned sampler has the number of calls of one of its tables.

    Raises:
        UsageError: There is no such table.
        IddmError: The tables are damaged.
    """
    from iddm_cli.profiles.choices import SAMPLERS

    sampling = profile.sampling
    if not SAMPLERS[sampling.sampler].needs_tables:
        return profile
    steps = model.read_tuned_tables().resolve_calls(sampling.steps)
    sampling = sampling.model_copy(update={"steps": steps})
    return profile.model_copy(update={"sampling": sampling})


def warn_of_unsuited_sampler(model: "ModelSource", profile: "ResolvedProfile") -> None:
    """Warn where a distilled network meets a sampler of another kind, or the other way round."""
    from iddm_cli.display import console
    from iddm_cli.profiles.choices import SAMPLERS

    sampler, distilled = profile.sampling.sampler, profile.distillation.is_enabled
    if SAMPLERS[sampler].for_distilled and not distilled:
        console.print_warning(
            f"sampler {sampler} needs a distilled network, and {model.name} is none, so its "
            f"images will be poor; make one with: iddm distill {model.reference}"
        )
    elif distilled and not SAMPLERS[sampler].for_distilled:
        console.print_warning(
            f"{model.name} was distilled, so sampler {sampler} will make poor images; sampler "
            "consistency suits it"
        )


def check_ranges(model: "ModelSource", channels: int) -> None:
    """Check that a model has a range of values for each channel, or one for all.

    Raises:
        RunError: It has another number of them.
    """
    if len(model.values.low) not in (1, channels):
        raise RunError(
            f"{model.name} is damaged: it has {channels} channels, and the range of values of "
            f"{len(model.values.low)}"
        )
