"""Rules of profiles whose network upscales images."""

from collections.abc import Iterator

from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.model_settings import BackboneSettings
from iddm_cli.profiles.profile import Profile


def check_upscaler(profile: Profile) -> Iterator[Issue]:
    """Yield the issues of a network that upscales images, and of settings that only it has."""
    model, data = profile.model, profile.data
    if not model.is_upscaler:
        yield from _check_unused(model)
        return
    factor = model.upscale_factor
    if any(side % factor for side in data.size):
        height, width = data.size
        down = "x".join(str(max(1, side // factor) * factor) for side in data.size)
        yield Issue(
            ("model", "upscale_factor"),
            f"an image size of {height} x {width} must be divisible by model.upscale_factor: "
            f"{factor}",
            f"Set another factor, or an image size such as {down}.",
        )
    if profile.distillation.is_enabled:
        yield Issue(
            ("model", "condition"),
            "a network that upscales images cannot be distilled",
            "Few network calls suffice for it: iddm upscale RUN FOLDER --steps 8",
        )
    if profile.evaluation.every != 0:
        yield Issue(
            ("evaluation", "every"),
            "images of a network that upscales are not evaluated during training",
            "Set evaluation.every: 0; the held-out loss is computed, and iddm evaluate compares "
            "upscaled images with their originals afterwards.",
        )


def _check_unused(model: BackboneSettings) -> Iterator[Issue]:
    for key in ("upscale_factor", "upscale_noise"):
        if getattr(model, key) != BackboneSettings.model_fields[key].default:
            yield Issue(
                ("model", key),
                f"model.{key} has no effect with model.condition: none",
                "Set model.condition: low_resolution, or leave it out.",
            )
