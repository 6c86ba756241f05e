"""The end of a pipeline in ONNX's text format: from x, in [-1, 1], to the pixels of images."""

import numpy as np
from onnx import helper

from iddm_cli.value_range import ValueRange

TO_PIXELS = """
    clipped = Clip(x, minus_one, one)
    shifted = Add(clipped, one)
    levels = Mul(shifted, half_of_255)
    rounded = Round(levels)
    pixels = Cast<to = 2>(rounded)
    image = Transpose<perm = [0, 2, 3, 1]>(pixels)
"""

TO_VALUES = """
    clipped = Clip(x, minus_one, one)
    shifted = Add(clipped, one)
    scaled = Mul(shifted, half_span)
    numbers = Add(scaled, low)
    rounded = {rounding}(numbers)
    pixels = Cast<to = {type}>(rounded)
    image = Transpose<perm = [0, 2, 3, 1]>(pixels)
"""
"""The same for deeper values: to the type and units of the training images."""


def convert_to_pixels(values: ValueRange) -> str:
    """Return the nodes that turn x, in [-1, 1], into the image."""
    if values.is_8_bit:
        return TO_PIXELS
    dtype = np.dtype(values.dtype)
    rounding = "Identity" if dtype.kind == "f" else "Round"
    return TO_VALUES.format(rounding=rounding, type=int(helper.np_dtype_to_tensor_dtype(dtype)))


def list_pixel_constants(values: ValueRange) -> dict[str, np.ndarray]:
    """Return the constants of `convert_to_pixels`, by name."""
    constants = {"minus_one": np.array(-1, np.float32), "one": np.array(1, np.float32)}
    if values.is_8_bit:
        return constants | {"half_of_255": np.array(127.5, np.float32)}
    low, high = (np.array(end).reshape(-1, 1, 1) for end in (values.low, values.high))
    spans = {"low": low, "half_span": (high - low) / 2}
    return constants | {name: array.astype(np.float32) for name, array in spans.items()}
