"""Images with planted copies: textures, and what may happen to a copy."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from iddm_cli.engine import randomness
from iddm_cli.evaluation.image_set import ImageSet

FASHION = Path(__file__).parents[3] / "shared" / "data" / "fashion-mnist-small"


def textures(count: int, *, side: int = 32, channels: int = 1, seed: int = 0) -> Tensor:
    """Return smooth random images, all different, uint8 [count, channels, side, side]."""
    shape = (channels, max(3, side // 4), max(3, side // 4))
    noise = randomness.normal(seed, "texture", items=torch.arange(count), step=0, shape=shape)
    smooth = functional.interpolate(noise, size=(side, side), mode="bicubic")
    return (smooth * 50 + 128).clamp(0, 255).to(torch.uint8)


def fashion(part: str, per_class: int) -> ImageSet:
    """Return the first images of each class of Fashion-MNIST-small."""
    folders = sorted((FASHION / part).iterdir())
    files = [file for folder in folders for file in sorted(folder.glob("*.png"))[:per_class]]
    pixels = np.stack([np.asarray(Image.open(file).convert("L")) for file in files])
    labels = torch.arange(len(folders)).repeat_interleave(per_class)
    names = tuple(folder.name for folder in folders)
    return ImageSet(f"{part} images", torch.from_numpy(pixels)[:, None], labels, names)


def shift(pixels: Tensor, down: int, right: int) -> Tensor:
    padded = functional.pad(pixels.float(), (4, 4, 4, 4), mode="replicate")
    return padded.roll((down, right), (2, 3))[:, :, 4:-4, 4:-4].to(torch.uint8)


def brighten(pixels: Tensor) -> Tensor:
    return (pixels.float() * 1.05).round().clamp(0, 255).to(torch.uint8)


def add_noise(pixels: Tensor) -> Tensor:
    items = torch.arange(len(pixels))
    noise = randomness.normal(1, "planted", items=items, step=0, shape=tuple(pixels.shape[1:]))
    return (pixels.float() + 0.02 * 255 * noise).round().clamp(0, 255).to(torch.uint8)


def save_as_jpeg(pixels: Tensor) -> Tensor:
    decoded = []
    for image in pixels:
        file = io.BytesIO()
        channels = image.permute(1, 2, 0).squeeze(2).numpy()
        Image.fromarray(channels).save(file, "JPEG", quality=75)
        values = torch.from_numpy(np.array(Image.open(file)))
        decoded.append(values.reshape(*image.shape[1:], -1).permute(2, 0, 1))
    return torch.stack(decoded)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda pixels: pixels,
    "mirrored": lambda pixels: pixels.flip(3),
    "shifted": lambda pixels: shift(pixels, 2, -2),
    "shifted by one": lambda pixels: shift(pixels, -1, 0),
    "mirrored and shifted": lambda pixels: shift(pixels.flip(3), 1, 2),
    "brightened": brighten,
    "noisy": add_noise,
    "JPEG": save_as_jpeg,
    "everything": lambda pixels: save_as_jpeg(add_noise(brighten(shift(pixels.flip(3), 2, 1)))),
}
"""What may have happened to a copy, all of it to be seen through."""
