"""Preprocessing: decode one image and convert it to the pixels that a pack stores."""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.bands import (
    drop_bands,
    has_ordinary_8_bits,
    is_grey_level,
    to_levels,
)
from iddm_cli.data.decoding.images import (
    DecodedImage,
    ImageHandle,
    UnreadableImageError,
    digest_bytes,
)
from iddm_cli.data.decoding.resize import flatten_image, is_grey, reduce_to_8_bits, to_pixels
from iddm_cli.profiles.settings import AspectName, BackgroundName, DataSettings
from iddm_cli.value_range import EIGHT_BIT, HIGHEST_LABEL, ValueRange

MOST_LABELS = 48
"""Most distinct values of an image that may hold labels instead of colours."""

VOID = 255
"""Often marks pixels without a label."""


class DeepValuesError(Exception):
    """An image has more than 8 bits or more than 3 bands, so the set's values must be surveyed."""


@dataclass(frozen=True)
class PreparedImage:
    """The pixels of an image at the size trained at, and properties of its file."""

    planes: bytes  # uint8 or uint16 [C, H, W]; empty once they are written
    digest: str
    width: int  # of the file, upright, in pixels
    height: int
    grey: bool
    animated: bool
    content: str  # digest of what it was decoded from, or else of the pixels
    may_be_labels: bool = False  # only a few low values; not kept once it is written


PrepareResult = PreparedImage | str
"""A prepared image, or the reason why it could not be decoded."""


@dataclass(frozen=True)
class PixelSpec:
    """Everything that the stored pixels of an image depend on, besides its file."""

    size: tuple[int, int]  # height, width
    channels: int
    aspect: AspectName
    background: BackgroundName
    values: ValueRange = EIGHT_BIT
    crop_scale: float | None = None  # images keep their size times this, for crops of `size`

    @classmethod
    def from_settings(
        cls, settings: DataSettings, channels: int, values: ValueRange = EIGHT_BIT
    ) -> "PixelSpec":
        """Return the specification of these settings, with a number of channels and a range."""
        scale = None if settings.crop is None else settings.crop_scale
        aspect, background = settings.aspect, settings.background
        return cls(settings.stored_size, channels, aspect, background, values, scale)

    @property
    def is_cropped(self) -> bool:
        """Whether images are stored at their own sizes, and crops of them are read."""
        return self.crop_scale is not None

    @property
    def image_bytes(self) -> int:
        """Number of bytes of one image, or of one crop."""
        return self._count_bytes(*self.size)

    def count_stored_bytes(self, width: int, height: int) -> int:
        """Return the number of bytes that are stored of an image of this size in pixels."""
        return self._count_bytes(*self.find_stored_size(width, height))

    def find_stored_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the height and width at which an image of this size is stored."""
        if self.crop_scale is None:
            return self.size
        return max(1, round(height * self.crop_scale)), max(1, round(width * self.crop_scale))

    def _count_bytes(self, height: int, width: int) -> int:
        return height * width * self.channels * self.values.level_dtype.itemsize

    @property
    def min_side(self) -> int:
        """Number of pixels that suffices on each side of a decoded image; 0: all of them."""
        return 0 if self.is_cropped else max(self.size)

    @property
    def _fitted_aspect(self) -> AspectName:
        """What happens to another aspect ratio: a size of its own differs by rounding alone."""
        return "squash" if self.is_cropped else self.aspect

    @property
    def is_ordinary(self) -> bool:
        """Whether images are stored as grey or RGB of 8 bits."""
        return self.values.is_8_bit and self.channels in (1, 3)

    def to_pixels(self, image: Image.Image) -> ndarray:
        """Return the pixels of an ordinary image as they are stored, uint8 [H, W, C].

        Raises:
            UnreadableImageError: Its colour mode is not supported.
        """
        return to_pixels(
            image,
            size=self.find_stored_size(*image.size),
            channels=self.channels,
            aspect=self._fitted_aspect,
            background=self.background,
        )

    def to_levels(self, decoded: DecodedImage) -> ndarray:
        """Return the pixels of any image as they are stored, uint8 or uint16 [H, W, C].

        Raises:
            UnreadableImageError: It has other bands than are trained.
        """
        return to_levels(
            decoded,
            self.values,
            size=self.find_stored_size(*decoded.size),
            channels=self.channels,
            aspect=self._fitted_aspect,
            background=self.background,
        )


def prepare_image(
    spec: PixelSpec, handle: ImageHandle, *, only_8_bits: bool = False
) -> PrepareResult:
    """Decode one image and convert it to pixels; return the reason if that fails.

    An exception would carry the half-decoded image along to the parent process.

    Args:
        spec: The pixels to convert it to.
        handle: The image.
        only_8_bits: Whether other images need another specification.

    Raises:
        DeepValuesError: They do, and this is one.
    """
    try:
        decoded = handle.open(spec.min_side)
        if reason := find_shortage(spec, decoded.width, decoded.height):
            return reason
        if only_8_bits and not has_ordinary_8_bits(decoded):
            raise DeepValuesError
        pixels, grey, may_be_labels = _convert(spec, decoded)
    except UnreadableImageError as error:
        return str(error)
    planes = np.moveaxis(pixels, -1, 0).tobytes()
    digest = digest_bytes(planes)
    return PreparedImage(
        planes=planes,
        digest=digest,
        width=decoded.width,
        height=decoded.height,
        grey=grey,
        animated=decoded.animated,
        content=decoded.content or digest,
        may_be_labels=may_be_labels,
    )


def find_shortage(spec: PixelSpec, width: int, height: int) -> str:
    """Return why an image of this size holds no crop; "" if it does, or none is taken."""
    have, want = spec.find_stored_size(width, height), spec.size
    if have[0] >= want[0] and have[1] >= want[1]:
        return ""
    return f"smaller than data.crop: {have[1]} x {have[0]} pixels, of {want[1]} x {want[0]}"


def _convert(spec: PixelSpec, decoded: DecodedImage) -> tuple[ndarray, bool, bool]:
    """Return the pixels, whether they are grey, and whether they may be labels."""
    if not spec.is_ordinary:
        levels = spec.to_levels(decoded)
        return levels, is_grey_level(levels, spec.values), False
    flat = flatten_image(reduce_to_8_bits(drop_bands(decoded, spec.channels)), spec.background)
    return spec.to_pixels(flat), is_grey(flat), bool(find_labels(flat))


def find_labels(flat: Image.Image) -> tuple[int, ...]:
    """Return the values of an image if they are few, low and grey, as labels are; else nothing."""
    if flat.getcolors(MOST_LABELS) is None:
        return ()
    pixels = np.asarray(flat).reshape(-1, len(flat.getbands()))
    if (pixels != pixels[:, :1]).any():
        return ()
    values = [int(value) for value in np.unique(pixels)]
    lowest = [value for value in values if value != VOID]
    return tuple(values) if max(lowest, default=0) <= HIGHEST_LABEL else ()
