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
            f"See what it keeps of images in the sample grids and metrics.jsonl of {reference}; to "
            "generate images, train another network, such as model.network: unet.",
        )
