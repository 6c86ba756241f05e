"""The inspection report of a dataset as plain data; `to_json` turns it into JSON.

The fields of these classes are the keys of `iddm inspect-dataset --json` and of report.json: their
names are part of a file format and do not change.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from iddm_cli.data.packs.held_out import NO_REPORT, SHARE, HeldOutReport
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.profiles.settings import AspectName


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of some integers."""

    smallest: int
    median: int
    largest: int


@dataclass(frozen=True)
class HistogramBar:
    """One bar of a histogram."""

    label: str
    count: int


@dataclass(frozen=True)
class ImageSizes:
    """Sizes of the images as stored, after EXIF rotation, in pixels."""

    width: Spread
    height: Spread
    shorter_side: Spread
    common: list[tuple[int, int, int]]  # (width, height, count), most common first
    not_square: int
    shorter_sides: list[HistogramBar]
    aspects: list[HistogramBar]  # width : height, from tall to wide


@dataclass(frozen=True)
class ImageKinds:
    """Number of images of each kind; dicts are sorted with the most common kind first."""

    modes: dict[str, int]
    formats: dict[str, int]
    suffixes: dict[str, int]
    grey: int  # without any colour, however they are stored
    grey_stored_as_colour: int
    transparent: int
    animated: int  # of several frames or pages; training uses the first
    sixteen_bit: int


@dataclass(frozen=True)
class PixelStats:
    """Mean and standard deviation of each channel after preprocessing, from 0 to 255.

    Of images with other values: of each band before preprocessing, in the units of the files.
    """

    channels: list[str]
    mean: list[float]
    deviation: list[float]
    unit: str = "of 0 to 255, preprocessed"


@dataclass(frozen=True)
class ValueHistogram:
    """How many of 1,000 values lie in each tenth of the range."""

    name: str  # of the band; "" if all have one range
    bars: list[HistogramBar]


@dataclass(frozen=True)
class ValueReport:
    """The values of images of more than 8 bits, of several bands, or of labels."""

    dtype: str
    low: list[float]  # one for all bands, or one for each
    high: list[float]
    channels: int
    clipped: float  # share of the values outside the range, from 0 to 1
    range: str  # in words
    notes: list[str]
    histograms: list[ValueHistogram]


@dataclass(frozen=True)
class SkipReason:
    """A reason why files are skipped, and a few of them."""

    reason: str
    count: int
    examples: list[str]


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are equal, or nearly so."""

    pictures: list[str]
    classes: list[str]  # classes of these images; more than one means contradictory labels


@dataclass(frozen=True)
class Duplicates:
    """All groups of equal, or of nearly equal, images."""

    count: int  # images that could be removed: all but one of each group
    across_classes: int  # groups whose images have different classes
    groups: list[DuplicateGroup]  # groups across classes first
    complete: bool  # whether all candidate pairs were compared


@dataclass(frozen=True)
class PreprocessingPreview:
    """How a profile would preprocess the images."""

    profile: str  # its name; "" without a profile
    height: int  # training size, in pixels
    width: int
    aspect: AspectName
    kept: float  # mean share of an image's area that stays in view, from 0 to 1
    kept_least: float
    padding: float  # mean share of the training pixels that is padding, from 0 to 1
    padding_most: float
    distortion: float  # mean ratio of the larger to the smaller scale factor of both sides
    distortion_most: float
    enlarged: int
    enlarged_by: float  # median scale factor of the enlarged images; 1 if there are none
    channels: int
    pack_bytes: int
    batch_size: int
    steps_per_epoch: float
    crops: int = 0  # crops that fit into all images beside each other; 0: whole images are trained


@dataclass(frozen=True)
class Advice:
    """A sentence about what to know or to change before training."""

    level: Literal["warning", "hint"]
    text: str


@dataclass(frozen=True)
class Inspection:
    """The inspection report of a dataset: every image was decoded."""

    name: str
    place: str  # path of the dataset; "" if it is synthetic or downloaded
    trainable: bool
    verdict: str  # the reason, in one sentence
    count: int  # readable images; unless noted, all fields below are about these
    total_bytes: int  # of the files as stored, including unreadable ones
    classes: dict[str, int]
    shares: dict[str, float]  # of all images, from 0 to 1
    imbalance: float  # size of the largest class divided by that of the smallest non-empty one
    notes: list[str]
    sizes: ImageSizes
    kinds: ImageKinds
    values: PixelStats
    constant: list[str]  # images of one colour, or nearly
    unreadable: list[SkippedFile]  # images that cannot be decoded
    skipped: list[SkippedFile]  # other entries of the dataset
    faults: list[SkipReason]  # of both, most common first
    left_out: list[str]  # a sentence for each kind of image among them that cannot be used as it is
    duplicates: Duplicates  # equal pixels
    near_duplicates: Duplicates
    treatment: PreprocessingPreview
    advice: list[Advice]
    value_range: ValueReport | None = None  # None: ordinary images of 8 bits, 0 to 255
    problem: str = ""  # why the values cannot be trained on
    held_out: HeldOutReport = NO_REPORT

    def to_json(self) -> dict[str, Any]:
        """Return the report as numbers, strings, lists and dicts."""
        return {**asdict(self), "held_out": self.held_out.to_json()}

    @property
    def training(self) -> int:
        """Number of images that are trained on: `count` without a share that is held out."""
        return self.held_out.training

    def split_of(self, name: str) -> tuple[int, int]:
        """Return the number of training images of a class, and of held-out ones."""
        kept = self.held_out.classes.get(name, 0)
        is_share = self.held_out.facts.origin == SHARE
        return self.classes[name] - kept * is_share, kept
