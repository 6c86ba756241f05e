"""The record of a pack, pack.json: what is known of all its images together."""

from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.profiles.settings import Settings
from iddm_cli.value_range import EIGHT_BIT, ValueRange


class SourceStats(Settings):
    """Statistics of the original images; the names of the fields are keys of pack.json."""

    width: tuple[int, int, int]
    """Minimum, median and maximum, in pixels."""
    height: tuple[int, int, int]
    shown: float
    """Mean share of an original's area that stays in view, from 0 to 1; the rest is cropped."""
    enlarged: int
    """Images smaller than the stored size."""
    animated: int
    """Images of several frames or pages, of which only the first is used."""


class PackRecord(Settings):
    """The content of pack.json; the names of the fields are its keys."""

    source: str
    place: str
    count: int
    height: int
    width: int
    channels: int
    stored: bool
    """Whether the pixels are in the pack."""
    classes: tuple[str, ...]
    """Classes with at least one readable image, also for training without classes."""
    skipped: list[SkippedFile]
    """Images that cannot be decoded, and the reasons."""
    left_out: list[int]
    """Their indices in the source."""
    grey: bool
    """Whether every image is grey, however it was stored."""
    looks: SourceStats
    pixels: str
    """SHA-256 of the digests of all images."""
    ordinary: bool = False
    """Whether every image is known to be one of 8 bits; packs of earlier versions do not say."""
    values: ValueRange = EIGHT_BIT
    """The range of values that the levels stand for; absent from the file for 8 bits."""
    slices: tuple[str, ...] = ()
    """Folders below the pack's that hold its pixels, in order; absent for a pack of one file."""
    cropped: bool = False
    """Whether images have their own sizes, and height and width are those of crops of them."""
