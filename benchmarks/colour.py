"""A colour set from a grey one: every image in a random colour before a random background.

    python benchmarks/colour.py FOLDER OUT

FOLDER has sub-folders of grey images, light on black, as Fashion-MNIST. Each becomes an RGB image
of 32 x 32 pixels at the same place below OUT: its grey values blend from the background, a gradient
between two colours at a random angle, to a colour of its own. Colours depend on the file's path
alone, so that everybody gets the same set.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32


def colour_image(grey: Image.Image, path: str) -> Image.Image:
    """Return an image in colours that follow from its path."""
    seed = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "little")
    rng = np.random.default_rng(seed)
    front, first, second = rng.uniform(0, 255, (3, 3))
    angle = rng.uniform(0, 2 * np.pi)
    pixels = np.asarray(grey.convert("L").resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) - 0.5
    share = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)[..., None]
    background = first * (1 - share) + second * share
    cover = np.clip(pixels * 4, 0, 1)[..., None]  # dark cloth still covers the background
    cloth = front * (0.25 + 0.75 * pixels[..., None])
    mixed = background * (1 - cover) + cloth * cover
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def main() -> None:
    """Colour a whole folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.png"))
    if not paths:
        parser.error(f"{options.folder} has no PNG files")
    for path in paths:
        place = path.relative_to(options.folder)
        target = options.out / place
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            colour_image(image, place.as_posix()).save(target)
    print(f"{len(paths):,} images in {options.out}")


if __name__ == "__main__":
    main()
