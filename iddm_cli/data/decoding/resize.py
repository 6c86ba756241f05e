"""Convert a decoded image to 8 bits, an opaque background, and the size trained at.

Notation:

    tone     grey level from 0 to 255 behind transparent pixels and of padding
    size     (height, width) in pixels; Pillow's own sizes are (width, height)
"""

import numpy as np
from numpy import ndarray
from PIL import Image, ImageChops

from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError
from iddm_cli.profiles.settings import AspectName, BackgroundName

TONES: dict[BackgroundName, int] = {"white": 255, "black": 0, "grey": 128}

GREY_TOLERANCE = 4
"""Levels by which red, green and blue of a grey image may differ after lossy compression."""


def to_pixels(
    image: Image.Image,
    *,
    size: tuple[int, int],
    channels: int,
    aspect: AspectName,
    background: BackgroundName,
) -> ndarray:
    """Return an image as uint8 pixels [height, width, channels] of exactly this size.

    Args:
        image: An image of 8 bits per channel.
        size: Height and width, in pixels.
        channels: 1 for grey, 3 for RGB.
        aspect: What happens to another aspect ratio: crop, pad or squash.
        background: Colour behind transparent pixels and of padding.

    Raises:
        UnreadableImageError: Its colour mode is not supported.
    """
    flat = flatten_image(image, background).convert("L" if channels == 1 else "RGB")
    return np.array(change_shape(flat, size, aspect, TONES[background])).reshape(*size, channels)


def reduce_to_8_bits(decoded: DecodedImage) -> Image.Image:
    """Return a decoded image with 8 bits per channel; 65535 of 16 bits becomes 255.

    Raises:
        UnreadableImageError: The range of its pixel values is unknown, or it has too many channels.
    """
    if isinstance(decoded.image, Image.Image):
        return decoded.image
    values, white = decoded.image, decoded.white
    if values.dtype.kind == "f":
        values = _scale_floats(values)
    elif white is None:
        raise UnreadableImageError(f"{decoded.image.dtype} numbers, whose range is unknown")
    else:
        values = ((values.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    if values.shape[2] > 4 or (values.shape[2] in (2, 4)) != decoded.alpha:
        raise UnreadableImageError(f"{values.shape[2]} channels, of which the colours are unknown")
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def _scale_floats(values: ndarray) -> ndarray:
    if not (values.min() >= 0 and values.max() <= 1):  # not: so that NaN is refused as well
        raise UnreadableImageError("floating-point numbers outside 0..1")
    return np.rint(values * 255).astype(np.uint8)


def flatten_image(image: Image.Image, background: BackgroundName) -> Image.Image:
    """Return an opaque image of mode L or RGB, 8 bits per channel.

    Raises:
        UnreadableImageError: Its colour mode is not supported.
    """
    try:
        if image.has_transparency_data:
            return _composite(image.convert("RGBA"), TONES[background])
        return image.convert("L" if image.mode in ("1", "L") else "RGB")
    except ValueError as error:
        raise UnreadableImageError(f"colour mode {image.mode} is not supported") from error


def has_transparency(image: Image.Image) -> bool:
    """Return whether any pixel is transparent; most alpha channels are fully opaque."""
    if not image.has_transparency_data:
        return False
    alpha = image.convert("RGBA").getchannel("A")
    return alpha.getextrema() != (255, 255)


def is_grey(flat: Image.Image) -> bool:
    """Return whether all colours of a flattened image are grey within GREY_TOLERANCE."""
    if flat.mode == "L":
        return True
    red, green, blue = flat.split()
    return not any(_channels_differ(a, b) for a, b in ((red, green), (red, blue), (green, blue)))


def _channels_differ(a: Image.Image, b: Image.Image) -> bool:
    threshold = [255 * (level > GREY_TOLERANCE) for level in range(256)]
    return ImageChops.difference(a, b).point(threshold).getbbox() is not None


def _composite(image: Image.Image, tone: int) -> Image.Image:
    canvas = Image.new("RGB", image.size, (tone, tone, tone))
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def change_shape(
    image: Image.Image,
    size: tuple[int, int],
    aspect: AspectName,
    tone: float,
    *,
    blend: bool = True,
) -> Image.Image:
    """Resize an image to this size by cropping its centre, padding or squashing it.

    Args:
        image: The image.
        size: Height and width, in pixels.
        aspect: What happens to another aspect ratio: crop, pad or squash.
        tone: Value of padding, in the units of the image.
        blend: Whether pixels become means of others; otherwise each is one of them (labels).
    """
    if aspect == "crop":
        return _crop(image, size, blend=blend)
    if aspect == "pad":
        return _pad(image, size, tone, blend=blend)
    return _resize(image, size, blend=blend)


Box = tuple[float, float, float, float]


def _resize(
    image: Image.Image, size: tuple[int, int], box: Box | None = None, *, blend: bool
) -> Image.Image:
    """Resize a box of the image, with antialiasing where it shrinks."""
    height, width = size
    left, top, right, bottom = box or (0, 0, *image.size)
    shrinks = right - left > width or bottom - top > height
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    method = method if blend else Image.Resampling.NEAREST
    return image.resize((width, height), method, box=(left, top, right, bottom))


def _crop(image: Image.Image, size: tuple[int, int], *, blend: bool) -> Image.Image:
    """Resize the largest centred box of the target aspect ratio."""
    height, width = size
    box_width = min(image.width, image.height * width / height)
    box_height = min(image.height, image.width * height / width)
    # Integer offsets: half a pixel would blur an image that needs no resizing at all.
    left, top = int((image.width - box_width) / 2), int((image.height - box_height) / 2)
    box = (left, top, left + box_width, top + box_height)
    return _resize(image, size, box, blend=blend)


def _pad(image: Image.Image, size: tuple[int, int], tone: float, *, blend: bool) -> Image.Image:
    """Resize the whole image onto the centre of a canvas of one tone."""
    height, width = size
    inner_width = max(1, round(min(width, image.width * height / image.height)))
    inner_height = max(1, round(min(height, image.height * width / image.width)))
    colour = tone if len(image.getbands()) == 1 else (tone,) * len(image.getbands())
    canvas = Image.new(image.mode, (width, height), colour)
    inner = _resize(image, (inner_height, inner_width), blend=blend)
    canvas.paste(inner, ((width - inner_width) // 2, (height - inner_height) // 2))
    return canvas
