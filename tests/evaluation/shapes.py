"""Rendered images of four classes, and ways to spoil them."""

import torch
from torch import Tensor
from torch.nn import functional

from iddm_cli.evaluation.image_set import ImageSet

SIDE = 16
CLASSES = ("disc", "square", "cross", "stripes")


def render_shapes(per_class: int, *, seed: int = 0, channels: int = 1) -> ImageSet:
    """Return shapes of random place, size and brightness on grey noise."""
    generator = torch.Generator().manual_seed(seed)
    count = per_class * len(CLASSES)
    labels = torch.arange(count) % len(CLASSES)

    def between(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=generator))[:, None, None]

    grid = torch.arange(SIDE).float()
    down, right = grid[None, :, None] - between(6, 9), grid[None, None, :] - between(6, 9)
    size = between(2.5, 5)
    inside = torch.stack(
        [
            (down.square() + right.square()).sqrt() - size,
            torch.maximum(down.abs(), right.abs()) - size,
            torch.maximum(
                torch.minimum(down.abs(), right.abs()) - 1,
                torch.maximum(down.abs(), right.abs()) - 6,
            ),
            (((down + size + 0 * right) % 4) - 1).abs() - 0.7,
        ]
    )[labels, torch.arange(count)]
    shape = torch.sigmoid(-3 * inside) * between(90, 200) + between(20, 50)
    noise = 4 * torch.randn(count, channels, SIDE, SIDE, generator=generator)
    pixels = (shape[:, None] + noise).clamp(0, 255).to(torch.uint8)
    return ImageSet(f"shapes {seed}", pixels, labels, CLASSES)


def change_pixels(images: ImageSet, change) -> ImageSet:
    """Return the images with `change` applied to their levels, float [N, C, H, W]."""
    from dataclasses import replace

    levels = change(images.pixels.float()).round().clamp(0, 255)
    return replace(images, pixels=levels.to(torch.uint8))


def blur(images: ImageSet, sigma: float) -> ImageSet:
    """Blur with a Gaussian of this standard deviation in pixels."""
    offsets = torch.arange(-4, 5).float()
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, 9)

    def apply(levels: Tensor) -> Tensor:
        padded = functional.pad(levels, (4, 4, 4, 4), mode="replicate")
        return functional.conv2d(functional.conv2d(padded, kernel), kernel.mT)

    return change_pixels(images, apply)


def add_noise(images: ImageSet, levels: float) -> ImageSet:
    """Add Gaussian noise of this standard deviation."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(images.pixels.shape, generator=generator)
    return change_pixels(images, lambda x: x + levels * noise)


def reduce_contrast(images: ImageSet, loss: float) -> ImageSet:
    """Shrink the difference to the mean level by this share."""
    return change_pixels(images, lambda x: x.mean() + (1 - loss) * (x - x.mean()))


def remove_classes(images: ImageSet, count: float) -> ImageSet:
    """Leave out the first classes."""
    return images.select(images.labels >= int(count))


def swap_labels(images: ImageSet, share: float) -> ImageSet:
    """Give this share of the images the label of the next class."""
    from dataclasses import replace

    generator = torch.Generator().manual_seed(4)
    chosen = torch.randperm(len(images), generator=generator)[: round(share * len(images))]
    labels = images.labels.clone()
    labels[chosen] = (labels[chosen] + 1) % len(images.classes)
    return replace(images, labels=labels)
