"""Reconstruction: the loss of an autoencoder, behind the interface of a denoiser.

One trainer trains both: an autoencoder is what answers x with an estimate of x, at no noise.
"""

from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoiser

GRADIENT_WEIGHT = 1.0
"""Weight of the differences between neighbouring pixels, against that of the pixels."""


class Reconstructor(Denoiser):
    """An autoencoder in the place of a backbone: nothing is noisy, and times are ignored."""

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the reconstruction of images, float32, [B, C, H, W]."""
        return self.backbone(x, t, label).float()

    def around(self, backbone: nn.Module) -> "Reconstructor":
        """Return this reconstructor with another backbone; itself where the backbone is its own."""
        if backbone is self.backbone:
            return self
        return Reconstructor(backbone, self.schedule, prediction=self.prediction)

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """Return each image's loss of reconstruction, [B]; `noise` is for its latents."""
        return measure_reconstruction_loss(self.reconstruct(x, t, noise, label) - x)

    def reconstruct(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """Return the reconstruction of images in training, float32, [B, C, H, W]."""
        return self.backbone(x, t, label, noise).float()


def measure_reconstruction_loss(error: Tensor) -> Tensor:
    """Return the loss of each image's reconstruction minus the image, [B]: pixels and gradients."""
    return error.abs().flatten(1).mean(1) + GRADIENT_WEIGHT * measure_gradient_error(error)


def measure_gradient_error(error: Tensor) -> Tensor:
    """Return the mean absolute difference between neighbouring pixels of an error, [B].

    The gradient difference loss of Mathieu et al. 2016 (arXiv:1511.05440, eq. 6) with exponent 1
    compares the sizes of differences; here their signs count as well. L1 alone is content with
    blurred edges, whose error is spread over many pixels.

    Args:
        error: Reconstruction minus image, [B, C, H, W], with H and W of 2 or more.
    """
    rows = (error[:, :, 1:] - error[:, :, :-1]).abs().flatten(1).mean(1)
    columns = (error[:, :, :, 1:] - error[:, :, :, :-1]).abs().flatten(1).mean(1)
    return rows + columns
