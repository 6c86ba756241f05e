"""The autoencoder: a convolutional encoder and decoder of residual blocks, without attention.

It is the first stage of latent diffusion (Rombach et al. 2022, arXiv:2112.10752). Its latents are
bounded by tanh, and noise is added to them in training, as finite scalar quantization (Mentzer et
al. 2023, arXiv:2309.15505, eq. 1) does, with noise in the place of rounding (Ballé et al. 2017,
arXiv:1611.01704, section 3). Bounds and noise limit what a latent can say, as a KL penalty does;
and the decoder learns to bear small errors, which a diffusion model will make.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from iddm_cli.networks.blocks import Downsample, ResidualBlock, Upsample

PATCH = 2
"""Side of the pixel patches folded into channels first, which makes a step about 4x cheaper."""

WIDEST = 4
"""Channels of the smallest sizes at most, as a multiple of base_channels."""


class Encoder(nn.Module):
    """From images to latents in (-1, 1).

    Args:
        channels: Channels of the images.
        latent_channels: Channels of the latents.
        widths: Channels of each size, the largest size first.
        blocks: Residual blocks of each size.
        groups: Groups of each normalisation.
    """

    def __init__(
        self, channels: int, latent_channels: int, widths: list[int], *, blocks: int, groups: int
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels * PATCH**2, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(_build_levels(widths, blocks, groups))
        self.downsample = nn.ModuleList([Downsample(width) for width in widths[:-1]])
        self.norm_out = nn.GroupNorm(groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return latents, [B, latent_channels, H / f, W / f], for images, [B, C, H, W]."""
        h = self.conv_in(functional.pixel_unshuffle(x, PATCH))
        for number, level in enumerate(self.levels):
            h = level(h)
            if number < len(self.downsample):
                h = self.downsample[number](h)
        return self.conv_out(functional.silu(self.norm_out(h))).float().tanh()


class Decoder(nn.Module):
    """From latents to images: the encoder's sizes in the opposite order.

    Args:
        channels: Channels of the images.
        latent_channels: Channels of the latents.
        widths: Channels of each size, the largest size first.
        blocks: Residual blocks of each size.
        groups: Groups of each normalisation.
    """

    def __init__(
        self, channels: int, latent_channels: int, widths: list[int], *, blocks: int, groups: int
    ) -> None:
        super().__init__()
        widths = widths[::-1]
        self.conv_in = nn.Conv2d(latent_channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(_build_levels(widths, blocks, groups))
        self.upsample = nn.ModuleList([Upsample(width) for width in widths[:-1]])
        self.norm_out = nn.GroupNorm(groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], channels * PATCH**2, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Return images, [B, C, H, W], for latents, [B, latent_channels, H / f, W / f]."""
        h = self.conv_in(z)
        for number, level in enumerate(self.levels):
            h = level(h)
            if number < len(self.upsample):
                h = self.upsample[number](h)
        h = self.conv_out(functional.silu(self.norm_out(h)))
        return functional.pixel_shuffle(h, PATCH)


def _build_levels(widths: list[int], blocks: int, groups: int) -> list[nn.Module]:
    """Return the residual blocks of each size, in order."""
    block = partial(
        ResidualBlock,
        embedding=0,
        groups=groups,
        dropout=0.0,
        activation=nn.SiLU,
        conditioning="none",
    )
    inputs = [widths[0], *widths[:-1]]
    return [
        nn.Sequential(block(first, width), *(block(width, width) for _ in range(blocks - 1)))
        for first, width in zip(inputs, widths, strict=True)
    ]


class Autoencoder(nn.Module):
    """An encoder and a decoder, with the interface of a backbone: an image in, an image out.

    Height and width must be divisible by `downsampling`.

    Args:
        channels: Channels of the images, C.
        num_classes: Ignored: what an image looks like does not depend on its class.
        downsampling: Pixels along a side for each position of a latent, a power of two from 2.
        latent_channels: Channels of the latents, at most C * downsampling ** 2.
        base_channels: Channels of the largest size; each further size has twice as many, up to 4x.
        blocks_per_level: Residual blocks of each size.
        norm_groups: Groups of each normalisation.
        latent_noise: Standard deviation of the noise on latents during training.
        augmentation: Ignored.
        condition_channels: Ignored.
    """

    def __init__(
        self,
        *,
        channels: int,
        num_classes: int,  # noqa: ARG002
        downsampling: int,
        latent_channels: int,
        base_channels: int,
        blocks_per_level: int,
        norm_groups: int,
        latent_noise: float = 0.0,
        augmentation: int = 0,  # noqa: ARG002
        condition_channels: int = 0,  # noqa: ARG002
    ) -> None:
        super().__init__()
        count = (downsampling // PATCH).bit_length()
        widths = [base_channels * min(2**level, WIDEST) for level in range(count)]
        sizes = {"blocks": blocks_per_level, "groups": norm_groups}
        self.downsampling = downsampling
        self.latent_channels = latent_channels
        self.latent_noise = latent_noise
        self.encoder = Encoder(channels, latent_channels, widths, **sizes)
        self.decoder = Decoder(channels, latent_channels, widths, **sizes)

    def units(self) -> list[nn.Module]:
        """Return the modules that FSDP shards, and gathers one at a time."""
        return [module for module in self.modules() if isinstance(module, ResidualBlock)]

    def edge_layers(self) -> list[nn.Module]:
        """Return the layers that read images and write them."""
        return [self.encoder.conv_in, self.decoder.conv_out]

    def measure_last_layer(self, features: Tensor, gradient: Tensor) -> Tensor:
        """Return the norm of the gradient of each image's loss by the last layer's weights, [B].

        Args:
            features: What the last layer reads, [B, C, H / 2, W / 2].
            gradient: Gradient of each image's loss by its reconstruction, [B, C, H, W].
        """
        folded = functional.pixel_unshuffle(gradient, PATCH)
        return measure_weight_gradients(features, folded, self.decoder.conv_out.kernel_size[0])

    def class_table(self) -> None:
        """Return None: there are no class vectors."""

    def class_bias(self) -> None:
        """Return None: there are no class vectors."""

    def forward(self, x: Tensor, t: Tensor, label: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the reconstruction of images x, [B, C, H, W]; times and labels are ignored.

        `noise`, [B, C, H, W], standard normal, is where the noise of the latents comes from in
        training; None: there is none.
        """
        del t, label
        z = self.encoder(x)
        if noise is not None and self.training and self.latent_noise:
            folded = functional.pixel_unshuffle(noise, self.downsampling)
            z = z + self.latent_noise * folded[:, : self.latent_channels]
        return self.decoder(z)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Return the latents of images, float32 in (-1, 1), [B, latent_channels, H / f, W / f]."""
        return self.encoder(x)


@torch.no_grad()
def measure_weight_gradients(features: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """Return the norm of the gradient of each image's loss by a convolution's weights, [B].

    Args:
        features: What the convolution reads, [B, C, H, W]; its padding keeps the size.
        gradient: Gradient of each image's loss by what it returns, [B, D, H, W].
        kernel: Side of its kernel, odd.
    """
    norms = []
    for one, slope in zip(features, gradient, strict=True):  # those of all would fill the memory
        patches = functional.unfold(one[None].float(), kernel, padding=kernel // 2)[0]
        norms.append((slope.flatten(1).float() @ patches.T).norm())
    return torch.stack(norms)
