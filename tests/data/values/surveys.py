"""Images of given values, and their survey."""

import numpy as np
from PIL import Image

from iddm_cli.data.decoding.images import DecodedImage
from iddm_cli.data.values.image_values import ImageValues, sample_image
from iddm_cli.data.values.survey import Survey, group_values
from iddm_cli.profiles.settings import DataSettings

PIXELS = 400


class Decoded:
    """A handle of an image that is decoded already."""

    def __init__(self, image: np.ndarray | Image.Image, white: int | None = None) -> None:
        is_array = isinstance(image, np.ndarray)
        if is_array and image.ndim == 2:
            image = image[..., None]
        if is_array and white is None and image.dtype.kind == "u":
            white = int(np.iinfo(image.dtype).max)
        height, width = image.shape[:2] if is_array else image.size[::-1]
        self.decoded = DecodedImage(image, width, height, animated=False, white=white)

    def open(self, min_side: int = 0) -> DecodedImage:
        return self.decoded


def sample(image: np.ndarray | Image.Image, pixels: int = PIXELS, **kinds) -> ImageValues:
    sampled = sample_image(pixels, "white", Decoded(image, **kinds))
    assert isinstance(sampled, ImageValues)
    return sampled


def survey(*images: np.ndarray | Image.Image) -> Survey:
    return group_values([sample(image) for image in images])


def numbers(low: float, high: float, dtype: str, bands: int = 1, count: int = 10) -> list:
    """Images of evenly distributed values, both ends included."""
    rng = np.random.default_rng(0)
    images = rng.uniform(low, high, (count, 20, 20, bands))
    images[0, 0, 0], images[0, 0, 1] = low, high
    return [*(np.rint(images) if np.dtype(dtype).kind != "f" else images).astype(dtype)]


def settings(**values) -> DataSettings:
    return DataSettings(**values)
