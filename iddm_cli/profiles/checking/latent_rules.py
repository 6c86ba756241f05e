"""Rules of autoencoders."""

from collections.abc import Iterator

from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.evaluation_metrics import BEST_METRICS
from iddm_cli.profiles.profile import Profile


def check_latents(profile: Profile) -> Iterator[Issue]:
    """Yield the issues of a profile that trains an autoencoder."""
    if profile.model.is_autoencoder:
        yield from _check_autoencoder(profile)


def _check_autoencoder(profile: Profile) -> Iterator[Issue]:
    if profile.data.augment not in ("off", 0):
        yield Issue(
            ("data", "augment"),
            "data.augment does not work with model.network: autoencoder, which has no condition",
            "Set data.augment: off.",
        )
    best = profile.training.keep_best
    if best is not None and BEST_METRICS[best].source == "evaluation":
        yield Issue(
            ("training", "keep_best"),
            f"training.keep_best: {best} compares generated images, and an autoencoder generates "
            "none",
            "Set training.keep_best: held_out_loss.",
        )
    for key, is_used in (
        ("training.lora_rank", profile.training.lora_rank > 0),
        ("distillation.teacher", profile.distillation.is_enabled),
        ("model.condition", profile.model.is_upscaler),
    ):
        if is_used:
            section, _, name = key.partition(".")
            yield Issue(
                (section, name), f"{key} does not work with an autoencoder", "Leave it out."
            )
