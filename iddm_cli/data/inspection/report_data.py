"""Findings: all that an inspection says of a dataset, as plain data that becomes JSON."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from iddm_cli.data.sources.listing import Skip
from iddm_cli.profiles.settings import AspectName


@dataclass(frozen=True)
class Spread:
    """The smallest of some numbers, the middle one, and the largest."""

    smallest: int
    median: int
    largest: int


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram."""

    label: str
    count: int


@dataclass(frozen=True)
class Sizes:
    """Sizes of the pictures as stored, upright, in pixels."""

    width: Spread
    height: Spread
    shorter_side: Spread
    common: list[tuple[int, int, int]]  # width, height, how many; the commonest first
    not_square: int
    shorter_sides: list[Bar]
    aspects: list[Bar]  # width : height, from tall to wide


@dataclass(frozen=True)
class TensorSpecs:
    """How many pictures are of which kind, the commonest first."""

    modes: dict[str, int]
    formats: dict[str, int]
    suffixes: dict[str, int]
    grey: int  # without any colour, whatever they are stored as
    grey_stored_as_colour: int
    transparent: int
    animated: int  # of several frames or pages, of which the first is learnt
    sixteen_bit: int


@dataclass(frozen=True)
class Values:
    """Pixel values of the pictures as they would be learnt, from 0 to 255."""

    channels: list[str]
    mean: list[float]
    deviation: list[float]


@dataclass(frozen=True)
class Fault:
    """A reason why entries are left out."""

    reason: str
    count: int
    examples: list[str]


@dataclass(frozen=True)
class Twins:
    """Pictures that are the same, or look it."""

    pictures: list[str]
    classes: list[str]  # those they lie in; more than one contradict each other


@dataclass(frozen=True)
class Duplicates:
    """Groups of pictures that are the same, or look it."""

    count: int  # pictures that could go: of each group all but one
    across_classes: int  # groups that lie in several classes
    groups: list[Twins]  # those across classes first
    complete: bool  # whether all pairs that might be alike were compared


@dataclass(frozen=True)
class Treatment:
    """What a profile would do to the pictures."""

    profile: str  # its name; "" where none was given
    height: int  # of what is learnt, in pixels
    width: int
    aspect: AspectName
    kept: float  # share of the pictures' area that stays in view, from 0 to 1
    kept_least: float
    padding: float  # share of what is learnt that is padding
    padding_most: float
    distortion: float  # how many times more one side is stretched than the other
    distortion_most: float
    enlarged: int
    enlarged_by: float  # how many times, in the middle, of those that are; 1 where none is
    channels: int
    pack_bytes: int
    batch_size: int
    steps_per_epoch: float


@dataclass(frozen=True)
class Advice:
    """A sentence that says what to do."""

    level: Literal["warning", "hint"]
    text: str


@dataclass(frozen=True)
class Inspection:
    """What was found when every picture of a dataset was decoded."""

    name: str
    place: str  # "" where it is drawn or downloaded
    trainable: bool
    verdict: str  # why, in one sentence
    count: int  # pictures that can be read; all below is about them
    total_bytes: int  # of the files as stored, unreadable ones too
    classes: dict[str, int]
    shares: dict[str, float]  # of all pictures, from 0 to 1
    imbalance: float  # the largest class as a multiple of the smallest that is not empty
    notes: list[str]
    sizes: Sizes
    kinds: TensorSpecs
    values: Values
    constant: list[str]  # pictures of one colour, or nearly
    unreadable: list[Skip]
    skipped: list[Skip]  # entries passed over
    faults: list[Fault]  # both, by their reasons; the commonest first
    duplicates: Duplicates  # equal pixels
    near_duplicates: Duplicates
    treatment: Treatment
    advice: list[Advice]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as numbers, strings, lists and dicts."""
        return asdict(self)
