"""An image that is upscaled, as `iddm upscale` and the server read it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.data.decoding.own_size import OwnSizeSpec, find_noise_index
from iddm_cli.data.decoding.preprocess import PreparedImage
from iddm_cli.data.loader.stores import pixel_dtype


@dataclass(frozen=True)
class SmallImage:
    """An image that is upscaled.

    Attributes:
        name: Its path below the folder, printable.
        label: Its class; the number of classes for none.
        noise: Its noise index, see `find_noise_index`.
        planes: Its pixels, uint8 or uint16 [C, h, w].
    """

    name: str
    label: int
    noise: int
    planes: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.planes.shape[1], self.planes.shape[2]


def build_small_image(name: str, label: int, image: PreparedImage, spec: OwnSizeSpec) -> SmallImage:
    """Return a decoded image as one that is upscaled.

    Args:
        name: Its path below the folder, printable.
        label: Its class; the number of classes for none.
        image: Its pixels, as `prepare_at_own_size` returns them.
        spec: How they were decoded.
    """
    levels = torch.frombuffer(bytearray(image.planes), dtype=pixel_dtype(spec.values))
    planes = levels.view(spec.channels, image.height, image.width)
    return SmallImage(name, label, find_noise_index(image), planes)
