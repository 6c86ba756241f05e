"""What a network is conditioned on, in ONNX: smaller images, or places, to condition channels.

Of a network that upscales, nodes turn the input `low_resolution` into `low_images`, in [-1, 1], and
the traced graph of `ConditionModule` makes the condition channels of it. Of one that knows the
positions of crops, nodes make them of the input `corner`: see `crop_positions.build_coordinates`.
Every step of the loop reads them.
"""

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from iddm_cli.data.loader.low_resolution import add_noise, build_condition
from iddm_cli.export.onnx.graphs import BATCH, trace_module
from iddm_cli.value_range import ValueRange

TO_UNITS = """
    low_planes = Transpose<perm = [0, 3, 1, 2]>(low_resolution)
    low_numbers = Cast<to = 1>(low_planes)
    low_shifted = Sub(low_numbers, low_start)
    low_scaled = Div(low_shifted, low_half_span)
    low_images = Sub(low_scaled, one)
    low_shape = Shape(low_images)
    low_noise_of_all = Expand(low_noise, low_shape)
"""

LOCATE = """
    tops, lefts = Split<axis = 1, num_outputs = 2>(corner)
    rows = Add(tops, row_centres)
    columns = Add(lefts, column_centres)
    y_share = Mul(rows, two_by_height)
    x_share = Mul(columns, two_by_width)
    y_side = Sub(y_share, whole_centre)
    x_side = Sub(x_share, whole_centre)
    y_column = Unsqueeze(y_side, y_axes)
    x_row = Unsqueeze(x_side, x_axes)
    images = Shape<start = 0, end = 1>(noise)
    plane_shape = Concat<axis = 0>(images, plane)
    y_plane = Expand(y_column, plane_shape)
    x_plane = Expand(x_row, plane_shape)
    condition_channels = Concat<axis = 1>(x_plane, y_plane)
"""


class ConditionModule(nn.Module):
    """Makes the condition channels of smaller images.

    Args:
        factor: How many times larger the images become.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, low: Tensor, noise_level: Tensor, low_noise: Tensor) -> Tensor:
        """Return the condition channels, [N, C + 1, H, W].

        Args:
            low: Smaller images in [-1, 1], [N, C, h, w].
            noise_level: Level of the noise that they get first, from 0 to 1, [].
            low_noise: The noise, [N, C, h, w].
        """
        level = noise_level.expand(low.shape[0])
        return build_condition(add_noise(low, level, low_noise), level, self.factor)


def build_condition_graph(
    factor: int, low_shape: tuple[int, int, int], *, opset: int
) -> onnx.ModelProto:
    """Return the graph from low_images, noise_level and low_noise to condition_channels."""
    low = torch.zeros(BATCH, *low_shape)
    inputs = {"low_images": low, "noise_level": torch.tensor(0.0), "low_noise": low.clone()}
    return trace_module(ConditionModule(factor), inputs, "condition_channels", opset=opset)


def list_condition_constants(values: ValueRange) -> dict[str, np.ndarray]:
    """Return the constants by name; those with the name of an input are its default value."""
    low, high = (np.array(end).reshape(-1, 1, 1) for end in (values.low, values.high))
    return {
        "low_start": low.astype(np.float32),
        "low_half_span": ((high - low) / 2).astype(np.float32),
        "noise_level": np.array(0, np.float32),
        "low_noise": np.zeros((1, 1, 1, 1), np.float32),
    }


def list_place_constants(whole: tuple[int, int], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return the constants of the places of crops by name; the default `corner` is in the middle.

    Args:
        whole: Height and width of the whole images.
        size: Those of the crops.
    """
    height, width = whole
    middle = [(side - length) / 2 for side, length in zip(whole, size, strict=True)]
    return {
        "corner": np.array([middle], np.float32),
        "row_centres": np.arange(size[0], dtype=np.float32) + 0.5,
        "column_centres": np.arange(size[1], dtype=np.float32) + 0.5,
        "two_by_height": np.array(2 / height, np.float32),
        "two_by_width": np.array(2 / width, np.float32),
        "whole_centre": np.array(1, np.float32),
        "y_axes": np.array([1, 3]),
        "x_axes": np.array([1, 2]),
        "plane": np.array([1, *size]),
    }
