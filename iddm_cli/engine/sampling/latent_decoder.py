"""Decoding of generated latents: from what a network has sampled to images."""

import torch
from torch import Tensor

from iddm_cli.networks.autoencoding.autoencoder import Autoencoder
from iddm_cli.records.latent_scale import LatentScale


class LatentDecoder:
    """Decodes latents one at a time, so that an image does not depend on others of its batch.

    It computes in float32, whatever the precision of the network that samples.

    Args:
        autoencoder: The autoencoder, on its device and in evaluation mode.
        scale: The scale of the latents that the network was trained on.
        channels: Channels of an image.
    """

    def __init__(self, autoencoder: Autoencoder, scale: LatentScale, channels: int) -> None:
        self.autoencoder = autoencoder
        self.scale = scale
        self.channels = channels
        device = autoencoder.decoder.conv_in.weight.device
        self._mean, self._deviation = (
            torch.tensor(numbers, device=device).view(-1, 1, 1)
            for numbers in (scale.mean, scale.deviation)
        )

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Return images in about [-1, 1], float32 [B, C, H, W].

        Args:
            latents: Latents of mean 0 and deviation 1, [B, channels, H / f, W / f].
        """
        latents = self.unscale(latents)
        return torch.cat([self.autoencoder.decoder(one).float() for one in latents.split(1)])

    def unscale(self, latents: Tensor) -> Tensor:
        """Return latents as the encoder makes them, in [-1, 1].

        What lies outside of its range, which the decoder has never seen, is clipped to it.
        """
        return (latents.float() * self._deviation + self._mean).clamp(-1, 1)

    def shape_images(self, latent: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return channels, height and width of the images of latents of a shape."""
        factor = self.autoencoder.downsampling
        return self.channels, latent[1] * factor, latent[2] * factor

    def shape_latents(self, image: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return channels, height and width of the latents of images of a shape."""
        factor = self.autoencoder.downsampling
        return self.autoencoder.latent_channels, image[1] // factor, image[2] // factor
