"""One pass for `channels: auto`: a dataset is decoded once, before its channels are known.

A pack has 1 channel if every image is grey, and 3 otherwise, so that only the last image can settle
the question. Until then the 1-channel pack is written. Its 3-channel form is normally three copies
of the grey plane, and needs no space. Only if that is not so (grey images stored as colour may
deviate by a few levels), or if no pixels are stored, is the 3-channel pack written as well. At
the first image in colour, the 1-channel pack is expanded and dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from iddm_cli import durable
from iddm_cli.data.decoding.images import (
    DecodedImage,
    ImageHandle,
    UnreadableImageError,
    digest_bytes,
)
from iddm_cli.data.decoding.preprocess import (
    PixelSpec,
    PreparedImage,
    PrepareResult,
    prepare_image,
)
from iddm_cli.data.packs.store import PIXELS, PackWriter, select_prepared

GREY, COLOUR = "grey", "colour"
"""Sub-folders of an undecided build: its 1-channel and its 3-channel pack."""

EXPAND_CHUNK = 32


@dataclass(frozen=True)
class BothForms:
    """An image as a pack of 1 and of 3 channels would store it.

    Attributes:
        grey: The 1-channel form; None for an image in colour.
        colour: The 3-channel form; its planes are empty if they are three copies of the grey plane.
    """

    grey: PreparedImage | None
    colour: PreparedImage

    @property
    def may_be_labels(self) -> bool:
        """Whether the image has only a few low values."""
        return self.colour.may_be_labels

    @property
    def is_exact(self) -> bool:
        """Whether the 3-channel form is three copies of the grey plane."""
        return not self.colour.planes


@dataclass(frozen=True)
class _DecodedHandle:
    """An image that is decoded already."""

    decoded: DecodedImage

    def open(self, min_side: int = 0) -> DecodedImage:  # noqa: ARG002 (both forms have one size)
        return self.decoded


def prepare_both(grey: PixelSpec, colour: PixelSpec, image: ImageHandle) -> BothForms | str:
    """Decode an image once, and return both of its forms or the reason why it cannot be decoded.

    Raises:
        DeepValuesError: It is not an ordinary image of 8 bits.
    """
    try:
        handle = _DecodedHandle(image.open(colour.min_side))
    except UnreadableImageError as error:
        return str(error)
    in_colour = prepare_image(colour, handle, only_8_bits=True)
    if isinstance(in_colour, str) or not in_colour.grey:
        return in_colour if isinstance(in_colour, str) else BothForms(None, in_colour)
    in_grey = prepare_image(grey, handle)
    if isinstance(in_grey, str):
        return in_grey
    if in_colour.planes == 3 * in_grey.planes:
        in_colour = replace(in_colour, planes=b"")
    return BothForms(in_grey, in_colour)


class AutoChannelsWriter:
    """Writes a pack whose number of channels is not decided yet, and resumes an earlier build.

    Args:
        folder: Where the unfinished packs are.
        grey: The pixels of the 1-channel pack.
        colour: The pixels of the 3-channel pack.
        stored: Whether pixels are stored.
        should_store_colour: Returns whether the disk has room for the 3-channel pack, given the
            file of the pixels that an earlier build has stored already.
    """

    def __init__(
        self,
        folder: Path,
        grey: PixelSpec,
        colour: PixelSpec,
        *,
        stored: bool,
        should_store_colour: Callable[[Path], bool],
    ) -> None:
        self._folder = folder
        self._specs = grey, colour
        self._stored = stored
        self._should_store_colour = should_store_colour
        self._grey: PackWriter | None = None
        self._colour: PackWriter | None = None

    @property
    def writer(self) -> PackWriter:
        """The pack that is complete up to the last appended image."""
        writer = self._grey or self._colour
        assert writer is not None, "it is open"
        return writer

    @property
    def spec(self) -> PixelSpec:
        """The pixels of `writer`: of 1 channel until an image in colour is appended."""
        return self._specs[0] if self._grey else self._specs[1]

    @property
    def results(self) -> list[PrepareResult]:
        """What is known of each image of the source so far, without the pixels."""
        return self.writer.results

    @property
    def stored(self) -> bool:
        """Whether `writer` stores pixels."""
        return self.writer.stored

    def open(self) -> None:
        """Resume an earlier build.

        The 3-channel pack is always written first, so it never holds fewer images than the
        1-channel pack. If it does, it was damaged or is not fully expanded, and both start anew.

        Raises:
            OSError: The cache cannot be written.
        """
        self._grey = self._open_grey()
        if (self._folder / COLOUR).exists() or not self._stored:
            self._colour = self._open_colour()
            if _has_colour(self._colour.results):
                self._drop_grey()
            elif len(self._colour.results) < len(self._grey.results):
                self.discard()
                self.open()

    def _open_grey(self) -> PackWriter:
        grey = PackWriter(self._folder / GREY, self._specs[0], stored=self._stored)
        grey.open()
        return grey

    def _open_colour(self) -> PackWriter:
        folder = self._folder / COLOUR
        stored = self._stored and self._should_store_colour(folder / PIXELS)
        colour = PackWriter(folder, self._specs[1], stored=stored)
        colour.open()
        return colour

    def append(self, results: list[BothForms | str]) -> None:
        """Append some images to the packs that are still possible.

        Raises:
            OSError: The cache cannot be written.
        """
        first = len(self.writer.results)
        if self._colour is None and not all(isinstance(r, str) or r.is_exact for r in results):
            self._colour = self._open_colour()
            self._expand()
        if self._colour is not None:
            _append_missing(self._colour, first, [_to_colour(result) for result in results])
            if _has_colour(self._colour.results[first:]):
                self._drop_grey()
        if self._grey is not None:
            self._grey.append([_to_grey(result) for result in results])

    def _expand(self) -> None:
        """Append the images so far to the 3-channel pack: three copies of each grey plane."""
        assert self._grey is not None, "an expanded pack is not expanded again"
        assert self._colour is not None, "it is open"
        planes = self._grey.read_planes()
        for start in range(0, len(self._grey.results), EXPAND_CHUNK):
            expanded = [
                result if isinstance(result, str) else _repeat_plane(result, next(planes))
                for result in self._grey.results[start : start + EXPAND_CHUNK]
            ]
            _append_missing(self._colour, start, expanded)

    def _drop_grey(self) -> None:
        if self._grey is not None:
            self._grey.discard()
            self._grey = None

    def close(self) -> None:
        """Close the files; a later process can resume from them."""
        for writer in (self._grey, self._colour):
            if writer is not None:
                writer.close()

    def discard(self) -> None:
        """Remove the unfinished packs."""
        self.close()
        self._grey = self._colour = None
        durable.discard(self._folder)


def _has_colour(results: list[PrepareResult]) -> bool:
    return not all(image.grey for image in select_prepared(results))


def _append_missing(writer: PackWriter, first: int, results: list[PrepareResult]) -> None:
    """Append those of the images from index `first` on that the pack does not have yet."""
    if missing := results[max(0, len(writer.results) - first) :]:
        writer.append(missing)


def _to_grey(result: BothForms | str) -> PrepareResult:
    if isinstance(result, str):
        return result
    assert result.grey is not None, "images in colour end the 1-channel pack"
    return result.grey


def _to_colour(result: BothForms | str) -> PrepareResult:
    if isinstance(result, str):
        return result
    if result.grey is None or not result.is_exact:
        return result.colour
    return _repeat_plane(result.grey, result.grey.planes)


def _repeat_plane(image: PreparedImage, plane: bytes) -> PreparedImage:
    return replace(image, planes=3 * plane, digest=digest_bytes(3 * plane))
