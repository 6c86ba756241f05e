"""What an autoencoder run cannot be used for: it encodes and decodes images, and generates none."""

from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import Profile


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
            f"{advise_use(reference)}. Its quality: iddm evaluate {reference}",
        )


def advise_use(reference: str) -> str:
    """Return the command that trains a model on the latents of an autoencoder."""
    return (
        "Train a model on its latents: iddm train --profile photos-256 --data FOLDER --set "
        f"data.encoder={reference}"
    )
