"""Large photographs of surfaces, drawn: brushed steel, wood and woven fabric.

    python benchmarks/textures.py OUT --size 1024 --count 8

OUT gets a folder per class with `count` PNG files of size x size pixels in colour. Every file is a
function of its class, its number and the size. Structures have a length in pixels, not a share of
the side, so that crops of a size look alike wherever they are taken.
"""

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Paint = Callable[[np.random.Generator, int], np.ndarray]


def smooth_noise(rng: np.random.Generator, size: int, down: float, across: float) -> np.ndarray:
    """Return Gaussian noise with unit deviation, blurred by so many pixels down and across.

    It wraps around: the blur is a product in the frequency domain.
    """
    frequency = np.fft.fftfreq(size)
    blur = np.exp(-2 * np.pi**2 * (
        (down * frequency[:, None]) ** 2 + (across * frequency[None, :]) ** 2
    ))  # fmt: skip
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * blur).real
    return noise / noise.std()


def tint(shade: np.ndarray, dark: tuple[int, ...], light: tuple[int, ...]) -> np.ndarray:
    """Return a mixture of two colours, [H, W, 3], for shades from 0 to 1, [H, W]."""
    share = np.clip(shade, 0, 1)[..., None]
    return np.array(dark) * (1 - share) + np.array(light) * share


def paint_steel(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return brushed steel: long horizontal streaks, and a few pits."""
    streaks = smooth_noise(rng, size, 0.7, 40) + 0.6 * smooth_noise(rng, size, 3, 120)
    pits = np.maximum(0, smooth_noise(rng, size, 2, 2) - 2.6)
    shade = 0.5 + 0.13 * streaks + 0.05 * smooth_noise(rng, size, 60, 60) - 0.6 * pits
    return tint(shade, (52, 56, 62), (206, 210, 214))


def paint_wood(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return wood: vertical grain lines that wander, with pores."""
    across = np.arange(size)[None, :]
    wander = 9 * smooth_noise(rng, size, 70, 25) + 2 * smooth_noise(rng, size, 25, 8)
    rings = np.sin(2 * np.pi * (across + wander) / 18 + 2 * smooth_noise(rng, size, 200, 60))
    pores = np.maximum(0, smooth_noise(rng, size, 9, 0.8) - 1.9)
    shade = 0.55 + 0.2 * rings + 0.07 * smooth_noise(rng, size, 12, 1) - 0.5 * pores
    return tint(shade, (82, 46, 22), (222, 170, 112))


def paint_fabric(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return woven fabric: threads of 8 pixels over and under each other."""
    down, across = np.mgrid[0:size, 0:size].astype(float)
    down += 0.8 * smooth_noise(rng, size, 30, 30)
    across += 0.8 * smooth_noise(rng, size, 30, 30)
    over = (np.floor(down / 8) + np.floor(across / 8)) % 2 == 0
    warp, weft = np.abs(np.sin(np.pi * across / 8)), np.abs(np.sin(np.pi * down / 8))
    shade = np.where(over, 0.35 + 0.4 * warp, 0.2 + 0.45 * weft)
    shade += 0.06 * smooth_noise(rng, size, 0.7, 0.7) + 0.05 * smooth_noise(rng, size, 50, 50)
    return tint(shade, (28, 40, 74), (164, 176, 204))


PAINTERS: dict[str, Paint] = {"fabric": paint_fabric, "steel": paint_steel, "wood": paint_wood}


def paint(name: str, number: int, size: int) -> Image.Image:
    """Return one photograph of a class."""
    seed = int.from_bytes(hashlib.sha256(f"{name}/{number}".encode()).digest()[:8], "little")
    pixels = PAINTERS[name](np.random.default_rng(seed), size)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def write_textures(folder: Path, *, size: int, count: int) -> None:
    """Write the photographs of all classes; those that exist are kept."""
    for name in PAINTERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = folder / name / f"{number:03d}.png"
            if not path.exists():
                paint(name, number, size).save(path)


def main() -> None:
    """Write a folder of photographs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=1024, help="side in pixels")
    parser.add_argument("--count", type=int, default=8, help="photographs of each class")
    options = parser.parse_args()
    write_textures(options.out, size=options.size, count=options.count)
    print(f"{options.count} photographs of each of {', '.join(PAINTERS)} in {options.out}")


if __name__ == "__main__":
    main()
