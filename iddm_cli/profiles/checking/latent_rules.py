"""Rules of autoencoders, and of networks that are trained on their latents."""

from collections.abc import Iterator

from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.evaluation_metrics import BEST_METRICS
from iddm_cli.profiles.model_settings import AutoencoderSettings
from iddm_cli.profiles.profile import Profile


def check_latents(profile: Profile) -> Iterator[Issue]:
    """Yield the issues of a profile that trains an autoencoder, or on latents."""
    if profile.model.is_autoencoder:
        yield from _check_autoencoder(profile)
    if profile.data.encoder is not None:
        yield from _check_encoded(profile)
    elif profile.data.latents is not None:
        yield Issue(
            ("data", "latents"),
            "data.latents has no effect without data.encoder",
            "Leave it out: a run records it.",
        )


def _check_encoded(profile: Profile) -> Iterator[Issue]:
    """Yield the settings that are about pixels, where latents are trained on."""
    data = profile.data
    for key, is_used in (
        ("data.crop", data.crop is not None),
        ("data.horizontal_flip", data.horizontal_flip),
        ("data.random_crop", data.random_crop < 1),
        ("data.rotation", data.rotation > 0),
        ("data.augment", data.augment not in ("off", 0)),
        ("sampling.threshold", profile.sampling.threshold > 0),
    ):
        if is_used:
            section, _, name = key.partition(".")
            yield Issue(
                (section, name),
                f"{key} changes pixels, and with data.encoder a network is trained on latents",
                "Leave it out.",
            )
    for key, is_used in (
        ("model.network", profile.model.is_autoencoder),
        ("model.condition", profile.model.is_upscaler),
    ):
        if is_used:
            section, _, name = key.partition(".")
            value = profile.flatten()[key]
            yield Issue(
                (section, name), f"{key}: {value} does not work with data.encoder", "Leave it out."
            )


def _check_discriminator(profile: Profile, model: AutoencoderSettings) -> Iterator[Issue]:
    """Yield the issues of a profile with an adversarial loss."""
    smallest, side = model.smallest_discriminated_side, min(profile.data.size)
    if side < smallest:
        fitting = [n for n in range(1, model.discriminator_layers) if 3 * 2**n <= side]
        layers = f"model.discriminator_layers={fitting[-1]}" if fitting else ""
        yield Issue(
            ("model", "discriminator_layers"),
            f"a discriminator of {model.discriminator_layers} layers needs images of {smallest} "
            f"pixels or more, and these have {side}",
            f"Set {layers or 'model.discriminator_weight=0'}.",
        )
    if profile.runtime.sharding != "none":
        yield Issue(
            ("runtime", "sharding"),
            "model.discriminator_weight does not work with runtime.sharding: fsdp",
            "Set runtime.sharding: none; an autoencoder and its discriminator fit one device.",
        )


def _check_autoencoder(profile: Profile) -> Iterator[Issue]:
    model = profile.model
    if isinstance(model, AutoencoderSettings) and model.discriminator_weight:
        yield from _check_discriminator(profile, model)
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
