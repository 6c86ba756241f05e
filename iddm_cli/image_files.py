"""Image files for people: samples with their sampling metadata, grids, and the loss curve.

This module needs only Pillow; it receives pixels as Pillow images.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from iddm_cli import durable

BACKGROUND, FOREGROUND, GRID_LINE = (255, 255, 255), (40, 40, 40), (205, 205, 205)
COLOURS = ((200, 60, 30), (40, 140, 60))
"""Colours of the curves beside the first one of a plot."""
GAP = 4
FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
MAX_NOTE_LENGTH = 1000

GridRow = tuple[str, Sequence[Image.Image]]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class SamplingMetadata:
    """How an image was sampled, apart from its class and index.

    The names of the fields are keys of the text chunks in the PNG. Fields with a default are only
    written where they differ from it.

    Attributes:
        guidance_rescale: Share of rescaled guidance.
        threshold: Share of dynamic thresholding; 0: none.
        guide_with: The weaker model of autoguidance, as RUN@STEP; "": guidance is classifier-free.
        noise: "own" where each class has its own noise, see `engine.sampling.sample_noise`; "same"
            where image i starts from the same noise in every class.
        strength: How much of the image that it starts from was made anew; 1: it started from noise.
        interpolate: The two indices that it lies between, and the number of images on the path.
        size: Height and width in pixels, where the model was trained at another size.
        windows: The windows that it was computed in, and what they share; "": computed whole.
        upscale_with: The model that upscaled a generated image, as RUN@STEP; "": none did.
        noise_level: Level of the noise that an image got before it was upscaled; None: it was not.
    """

    run: str
    step: int
    weights: str
    seed: int
    sampler: str
    steps: int
    time_grid: str
    order: float | None
    eta: float
    guidance: float
    guidance_interval: Sequence[float]
    precision: str
    guidance_rescale: float = 0.0
    threshold: float = 0.0
    guide_with: str = ""
    noise: str = "same"
    strength: float = 1.0
    interpolate: str = ""
    size: str = ""
    windows: str = ""
    upscale_with: str = ""
    noise_level: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the fields by name, without those that have their default."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }

    def text_notes(
        self, index: int, name: str, more: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the text chunks of an image's file.

        Args:
            index: The image's index.
            name: The name of its class; "" without classes.
            more: What else changed this image alone, by key.
        """
        facts = self.to_json() | {"guidance_interval": format_interval(self.guidance_interval)}
        notes = {f"iddm:{key}": str(value) for key, value in facts.items() if value is not None}
        notes["iddm:index"] = str(index)
        if name:
            notes["iddm:class"] = name[:MAX_NOTE_LENGTH]
        further = {f"iddm:{key}": text[:MAX_NOTE_LENGTH] for key, text in (more or {}).items()}
        return notes | further


def format_interval(interval: Sequence[float]) -> str:
    """Return an interval as options take it: 0.2:0.8."""
    return ":".join(str(end).removesuffix(".0") for end in interval)


def encode_image(image: Image.Image, form: str, notes: dict[str, str] | None = None) -> bytes:
    """Encode an image as the bytes of a file.

    Args:
        image: The image.
        form: png, jpg or webp; webp is lossless, jpg has quality 95.
        notes: Text chunks of a PNG; in other formats, the EXIF description.
    """
    buffer = io.BytesIO()
    if form == "png":
        image.save(buffer, "PNG", pnginfo=build_text_chunks(notes or {}))
        return buffer.getvalue()
    exif = Image.Exif()
    text = "; ".join(f"{key}: {value}" for key, value in (notes or {}).items())
    exif[0x010E] = text.encode()  # given text, Pillow replaces non-ASCII letters by ?
    options = {"lossless": True} if form == "webp" else {"quality": 95, "subsampling": 0}
    image.save(buffer, FORMATS[form], exif=exif, **options)
    return buffer.getvalue()


def build_text_chunks(notes: dict[str, str]) -> PngInfo:
    """Return the text chunks of a PNG."""
    chunks = PngInfo()
    for key, value in notes.items():
        chunks.add_itxt(key, value)
    return chunks


def save_png(image: Image.Image, path: Path) -> None:
    """Write an image as a PNG file, atomically."""
    durable.write_file(path, encode_image(image, "png"))


def make_grid(rows: Sequence[GridRow], *, cell: int | None = None) -> Image.Image:
    """Return a grid of images in rows, each with its name at the left.

    Args:
        rows: Name and images of each row.
        cell: Longer side of a cell in pixels; None enlarges small images to about 64 pixels by a
            whole factor, so that their pixels stay square and sharp.
    """
    images = [image for _, row in rows for image in row]
    if not images:
        return Image.new("RGB", (1, 1), BACKGROUND)
    tallest = max(image.height for image in images)
    widest = max(image.width for image in images)
    scale = cell / max(tallest, widest) if cell else max(1, round(64 / max(tallest, widest)))
    height, width = max(1, round(tallest * scale)), max(1, round(widest * scale))
    font = ImageFont.load_default(max(11, min(16, height // 4)))
    margin = _name_width([name for name, _ in rows], font)
    columns = max(len(row) for _, row in rows)
    size = (margin + columns * (width + GAP) + GAP, len(rows) * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, (name, row) in enumerate(rows):
        top = GAP + number * (height + GAP)
        draw.text(
            (GAP, top + height // 2), _printable(name), fill=FOREGROUND, font=font, anchor="lm"
        )
        for column, image in enumerate(row):
            left = margin + GAP + column * (width + GAP)
            sheet.paste(_fit(image, width, height), (left, top))
    return sheet


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:40]


def _name_width(names: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    widest = max((font.getlength(_printable(name)) for name in names if name), default=0)
    return math.ceil(widest) + 2 * GAP if widest else 0


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    factor = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    method = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS
    return image.convert("RGB").resize(size, method)


def running_mean(points: Points, share: float = 0.05) -> list[tuple[float, float]]:
    """Return the running mean over a share of all points, at least three of them."""
    count = len(points)
    reach = max(3, round(count * share)) // 2
    sums = _sum_windows([y for _, y in points], reach)
    return [
        (x, total / (min(count, i + reach + 1) - max(0, i - reach)))
        for i, ((x, _), total) in enumerate(zip(points, sums, strict=True))
    ]


def _sum_windows(values: Sequence[float], reach: int) -> list[float]:
    """Return the sum of each value and of up to `reach` others on either side, in linear time.

    A window is the end of one block of its width and the beginning of the next (van Herk 1992), so
    that nothing is subtracted: a huge value spoils no sum that it does not belong to.
    """
    width = 2 * reach + 1
    zeros = [0.0] * reach
    padded = [*zeros, *values, *zeros, *[0.0] * (-(len(values) + 2 * reach) % width)]
    from_start = _sum_blocks(padded, width)
    to_end = _sum_blocks(padded[::-1], width)[::-1]
    return [
        to_end[i] + (from_start[i + width - 1] if i % width else 0.0) for i in range(len(values))
    ]


def _sum_blocks(values: Sequence[float], width: int) -> list[float]:
    """Return cumulative sums that start anew in every block of this width."""
    sums: list[float] = []
    for i, value in enumerate(values):
        sums.append(sums[-1] + value if i % width else value)
    return sums


def plot_curve(
    points: Points,
    *,
    title: str,
    others: Mapping[str, Points] | None = None,
    size: tuple[int, int] = (800, 400),
) -> Image.Image:
    """Return a plot of each value, faintly, and of the running mean, on a logarithmic y axis.

    Args:
        points: x and y of each value; x ascending; values y <= 0 are omitted.
        title: Text above the curve.
        others: Up to len(COLOURS) further curves, by their names in the legend.
        size: Width and height in pixels.
    """
    image = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((60, 8), title, fill=FOREGROUND, font=ImageFont.load_default(14))
    main = _to_logarithms(points)
    further = {name: _to_logarithms(curve) for name, curve in (others or {}).items()}
    if main or any(further.values()):
        _draw_axes_and_curves(draw, main, list(further.values()), size)
    _draw_legend(draw, list(further), right=size[0] - 16)
    return image


def _to_logarithms(points: Points) -> list[tuple[float, float]]:
    return [(x, math.log10(y)) for x, y in points if y > 0]


def _draw_legend(draw: ImageDraw.ImageDraw, names: Sequence[str], *, right: int) -> None:
    """Draw the names of the further curves in their colours, from the right."""
    font = ImageFont.load_default(12)
    for name, colour in reversed(list(zip(names, COLOURS, strict=False))):
        draw.text((right, 10), name, fill=colour, font=font, anchor="rt")
        right -= math.ceil(font.getlength(name)) + 24


def _draw_axes_and_curves(
    draw: ImageDraw.ImageDraw, shown: Points, others: Sequence[Points], size: tuple[int, int]
) -> None:
    left, top, right, bottom = 60, 32, size[0] - 16, size[1] - 32
    every = [point for curve in (shown, *others) for point in curve]
    xs, ys = [x for x, _ in every], [y for _, y in every]
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    y_low, y_high = min(ys), max(max(ys), min(ys) + 1e-3)

    def position(x: float, y: float) -> tuple[float, float]:
        across = left + (x - x_low) / (x_high - x_low) * (right - left)
        return across, bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

    draw_label = partial(draw.text, fill=FOREGROUND, font=ImageFont.load_default(11))
    for part in range(5):
        y = y_low + (y_high - y_low) * part / 4
        draw.line([position(x_low, y), position(x_high, y)], fill=GRID_LINE)
        draw_label((left - 6, position(x_low, y)[1]), f"{10**y:.3g}", anchor="rm")
        x = x_low + (x_high - x_low) * part / 4
        draw_label((position(x, y_low)[0], bottom + 6), f"{x:.0f}", anchor="mt")
    draw.line([position(x, y) for x, y in shown], fill=(150, 190, 235))
    draw.line([position(x, y) for x, y in running_mean(shown)], fill=(20, 90, 180), width=2)
    for curve, colour in zip(others, COLOURS, strict=False):
        draw.line([position(x, y) for x, y in curve], fill=colour, width=2)
        for x, y in map(position, *zip(*curve, strict=True)) if curve else ():
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
