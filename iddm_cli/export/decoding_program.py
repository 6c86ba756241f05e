"""The decoder of a latent model as a module, for torch.export and torch.onnx."""

from torch import Tensor, nn

from iddm_cli.engine.sampling.latent_decoder import LatentDecoder


class DecodingProgram(nn.Module):
    """Decodes a batch of latents at once, which is `LatentDecoder.decode` but for rounding.

    Args:
        decoder: The decoder.
    """

    def __init__(self, decoder: LatentDecoder) -> None:
        super().__init__()
        self.network = decoder.autoencoder.decoder
        self._unscale = decoder.unscale

    def forward(self, latents: Tensor) -> Tensor:
        """Return images in about [-1, 1], [N, C, H, W], of latents of mean 0 and deviation 1."""
        images: Tensor = self.network(self._unscale(latents))
        return images
