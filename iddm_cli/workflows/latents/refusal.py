"""What the runs of latent diffusion cannot be used for.

An autoencoder encodes and decodes images, and generates none. A network on latents generates
images together with the decoder in its run.
"""

from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from iddm_cli.profiles.profile import Profile

PIXEL_OPTIONS = ("--from", "--mask", "--trajectory", "--upscale", "--windows")
"""Options of iddm generate that are about the pixels which a network computes."""


def check_generates(profile: "Profile", reference: str) -> None:
    """Check that a model generates images.

    Args:
        profile: Its profile.
        reference: What a command line calls it.

    Raises:
        UsageError: It is an autoencoder.
    """
    if profile.model.is_autoencoder:
        raise UsageError(
            f"{reference} is an autoencoder: it encodes and decodes images, and generates none",
            f"See what it keeps of images: iddm evaluate {reference}. To generate images, train a "
            f"network on its latents: --set data.encoder={reference}",
        )


def check_latent_options(profile: "Profile", reference: str, given: "Collection[str]") -> None:
    """Check that options of `iddm generate` do not need a network that computes pixels.

    Args:
        profile: The profile of the model.
        reference: What a command line calls it.
        given: The names of the options that were given.

    Raises:
        UsageError: The model was trained on latents, and one of them does.
    """
    for option in PIXEL_OPTIONS:
        if profile.data.encoder is not None and option in given:
            raise UsageError(
                f"{option} needs a model of pixels, and {reference} was trained on latents "
                "(data.encoder)",
                f"Leave {option} out.",
            )


def check_benched(profile: "Profile", *, has_data: bool) -> None:
    """Check that `iddm bench` can time a profile: on latents of noise, whose shape is known.

    Raises:
        UsageError: It cannot.
    """
    if profile.data.encoder is None:
        return
    if has_data:
        raise UsageError(
            "with data.encoder, latents of noise are timed, and no images",
            "Leave out --data, and name the shape: --set data.latents=[4,8]",
        )
    if profile.data.latents is None:
        raise UsageError(
            "with data.encoder, the shape of a latent is not known before training",
            "Name its channels and its downsampling: --set data.latents=[4,8]",
        )
