"""Demo images: six classes of steel-surface defects, rendered so that nothing is downloaded.

The classes are those of the NEU-DET steel defects. Shapes are large and contrast is high, so that a
small network learns them in minutes and a person recognizes each one at a glance.

Notation, used by every painter of this file:

    x        column coordinate, [1, W], 0 at the left edge and 1 at the right edge
    y        row coordinate, [H, 1], 0 at the top edge and 1 at the bottom edge
    grey     brightness, 0 is black and 255 is white; a surface is [H, W]
    cover    share of a point that a shape covers, [H, W], from 0 to 1
    rng      source of randomness; what a painter takes from it never depends on H or W

All lengths are in units of the image's side, so a pixel at 32x32 is 0.031 wide.
"""

import hashlib
import math
from collections.abc import Callable

import numpy as np
from numpy import ndarray
from numpy.random import Generator, Philox
from PIL import Image

Painter = Callable[[Generator, ndarray, ndarray], ndarray]

SUPERSAMPLE = 2  # samples per pixel and axis; edges are ramps, so two are enough
EDGE = 0.02  # width of the ramp at a sharp edge: two thirds of a pixel at 32x32


def render_demo_image(
    class_name: str, index: int, *, height: int = 32, width: int = 32
) -> Image.Image:
    """Render image number `index` of one class of defects.

    The image is a function of the arguments alone, and its composition of `class_name` and `index`
    alone: another size shows the same shapes, stretched.

    Returns:
        A greyscale image (mode "L") of exactly `height` by `width` pixels.

    Raises:
        ValueError: `class_name` is not one of `KINDS`.
    """
    if class_name not in _PAINTERS:
        raise ValueError(f"unknown class {class_name!r}; the classes are {', '.join(DEMO_CLASSES)}")
    rng = _generator(class_name, index)
    x = _centres(width * SUPERSAMPLE)[None, :]
    y = _centres(height * SUPERSAMPLE)[:, None]
    surface = _PAINTERS[class_name](rng, x, y) + _shading(rng, x, y)
    pixels = surface.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE).mean(axis=(1, 3))
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _generator(class_name: str, index: int) -> Generator:
    """Return a generator seeded by a digest, since Python's `hash` differs between processes."""
    digest = hashlib.sha256(f"{class_name}/{index}".encode()).digest()
    return Generator(Philox(key=int.from_bytes(digest[:16], "little")))


def _centres(count: int) -> ndarray:
    """Return `count` pixel centres between 0 and 1, as float32 for speed."""
    return (np.arange(count, dtype=np.float32) + 0.5) / count


def _shading(rng: Generator, x: ndarray, y: ndarray) -> ndarray:
    """Shade the whole surface by one slow wave, as on rolled steel; never by fine noise."""
    angle, phase = rng.uniform(0, math.tau, size=2).tolist()
    cycles = rng.uniform(0.3, 1.2) * math.tau
    wave: ndarray = np.sin(cycles * (math.cos(angle) * x + math.sin(angle) * y) + phase)
    return 8 * wave


def _constant(value: float, x: ndarray, y: ndarray) -> ndarray:
    """Return a surface of one value."""
    return np.full((y.shape[0], x.shape[1]), value, np.float32)


def _cover(inside: ndarray, edge: float = EDGE) -> ndarray:
    """Convert a length, positive inside the shape, to a cover that ramps over `edge`."""
    return np.clip(inside / edge + 0.5, 0, 1)


def _paint(grey: ndarray | float, cover: ndarray, tone: ndarray | float) -> ndarray:
    """Composite a shape of one tone over a surface."""
    return grey + cover * (tone - grey)


def _warp(rng: Generator, x: ndarray, y: ndarray, bend: float) -> tuple[ndarray, ndarray]:
    """Bend the coordinates by one wave per axis, so that regular shapes become uneven."""
    across, down = rng.uniform(1.2 * math.tau, 2.2 * math.tau, size=2).tolist()
    start, top = rng.uniform(0, math.tau, size=2).tolist()
    return x + bend * np.sin(down * y + top), y + bend * np.sin(across * x + start)


def _scatter(rng: Generator, count: int, gap: float) -> list[tuple[float, float]]:
    """Sample points in the image; keep those at least `gap` from all kept before."""
    kept: list[tuple[float, float]] = []
    for px, py in rng.uniform(0.04, 0.96, size=(count, 2)).tolist():
        if all(math.hypot(px - qx, py - qy) >= gap for qx, qy in kept):
            kept.append((px, py))
    return kept


def _crazing(rng: Generator, x: ndarray, y: ndarray) -> ndarray:
    """Draw a net of dark cracks on mid grey: the borders of a few large Voronoi cells."""
    cells = rng.uniform(1.9, 2.8)
    seeds = np.indices((5, 5)).reshape(2, 25).T - 1 + rng.uniform(-0.4, 0.4, size=(25, 2))
    x, y = _warp(rng, x, y, 0.02)
    nearest = second = _constant(math.inf, x, y)
    for px, py in ((seeds - rng.uniform(0, 1, size=2) + 0.5) / cells).tolist():
        distance = np.sqrt((x - px) ** 2 + (y - py) ** 2)
        second = np.minimum(second, np.maximum(nearest, distance))
        nearest = np.minimum(nearest, distance)
    crack = _cover(rng.uniform(0.045, 0.06) - (second - nearest), 2 * EDGE)
    return _paint(rng.uniform(140, 175), crack, rng.uniform(15, 35))


def _inclusion(rng: Generator, x: ndarray, y: ndarray) -> ndarray:
    """Draw one to three dark upright slivers, each tapering to a point at both ends."""
    grey = _constant(rng.uniform(145, 185), x, y)
    count = int(rng.integers(1, 4))
    for slot in range(count):
        centre = (slot + 0.5 + rng.uniform(-0.22, 0.22)) / count
        middle, half_length = rng.uniform(0.35, 0.65), rng.uniform(0.24, 0.5)
        lean, bow = rng.uniform(-0.08, 0.08), rng.uniform(-0.05, 0.05)
        along = (y - middle) / half_length
        half_width = rng.uniform(0.05, 0.09) * (1 - along**2)
        spine = centre + lean * along + bow * along**2
        grey = _paint(grey, _cover(half_width - np.abs(x - spine)), rng.uniform(20, 45))
    return grey


def _patches(rng: Generator, x: ndarray, y: ndarray) -> ndarray:
    """Draw a few large soft dark blots on a bright ground, merging where they meet."""
    x, y = _warp(rng, x, y, 0.07)
    heap = _constant(0, x, y)
    for px, py in _scatter(rng, int(rng.integers(5, 12)), 0.33):
        rx, ry = rng.uniform(0.16, 0.27, size=2).tolist()
        heap = heap + np.exp(-(((x - px) / rx) ** 2)) * np.exp(-(((y - py) / ry) ** 2))
    cover = _cover(heap - 0.45, 0.35)
    return _paint(rng.uniform(205, 235), cover, rng.uniform(30, 70))


def _pitted_surface(rng: Generator, x: ndarray, y: ndarray) -> ndarray:
    """Draw many small round dark pits on light grey, each lit on the rim away from the lamp."""
    lamp = rng.uniform(0.5, 1.1)
    dx, dy = 0.032 * math.cos(lamp), 0.032 * math.sin(lamp)
    pit = rim = _constant(-math.inf, x, y)
    for px, py in _scatter(rng, 60, rng.uniform(0.17, 0.24)):
        radius = rng.uniform(0.042, 0.068)
        pit = np.maximum(pit, radius - np.sqrt((x - px) ** 2 + (y - py) ** 2))
        rim = np.maximum(rim, radius - np.sqrt((x - px - dx) ** 2 + (y - py - dy) ** 2))
    grey = _paint(rng.uniform(170, 200), _cover(rim + 0.006), 252)
    return _paint(grey, _cover(pit), rng.uniform(20, 40))


def _rolled_in_scale(rng: Generator, x: ndarray, y: ndarray) -> ndarray:
    """Draw wavy rows of scales from the bottom up, each lapping over the row below it."""
    dark, span = rng.uniform(15, 30), rng.uniform(125, 155)
    rows, arcs = rng.uniform(3.2, 4.6), rng.uniform(1.3, 2.3)
    drift, tilt = rng.uniform(0, 1), rng.uniform(-0.3, 0.3)
    x, y = _warp(rng, x, y, 0.02)
    grey = _constant(dark, x, y)
    for row in range(6, -2, -1):
        shift = 0.5 * row + rng.uniform(-0.2, 0.2)
        scallop = rng.uniform(0.3, 0.5) * np.abs(np.sin(math.pi * (arcs * x + shift)))
        rise = row + drift + tilt * x + scallop - rows * y
        scale = dark + span * np.clip((rise - 0.12) / 0.7, 0, 1)
        grey = _paint(grey, _cover(rise / rows), scale)
    return grey


def _scratches(rng: Generator, x: ndarray, y: ndarray) -> ndarray:
    """Draw one to four long straight bright lines, roughly parallel, on a dark ground."""
    grey = _constant(rng.uniform(30, 75), x, y)
    count = int(rng.integers(1, 5))
    lead = rng.choice([-1.0, 1.0]).item() * rng.uniform(0.5, 1.1)
    for slot in range(count):
        angle = lead + rng.uniform(-0.12, 0.12)
        offset = ((slot + 0.5 + rng.uniform(-0.25, 0.25)) / count - 0.5) * 1.1
        dx, dy = x - 0.5, y - 0.5
        along = dx * math.cos(angle) + dy * math.sin(angle) + rng.uniform(-0.15, 0.15)
        across = dy * math.cos(angle) - dx * math.sin(angle) - offset
        past_end = np.maximum(np.abs(along) - rng.uniform(0.35, 0.65), 0)
        inside = rng.uniform(0.025, 0.04) - np.sqrt(past_end**2 + across**2)
        grey = _paint(grey, _cover(inside), rng.uniform(215, 245))
    return grey


_PAINTERS: dict[str, Painter] = {
    "crazing": _crazing,
    "inclusion": _inclusion,
    "patches": _patches,
    "pitted-surface": _pitted_surface,
    "rolled-in-scale": _rolled_in_scale,
    "scratches": _scratches,
}

DEMO_CLASSES: tuple[str, ...] = tuple(_PAINTERS)
