"""What `iddm evaluate` is asked for: its options, and the lists of sampling settings."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.workflows.models import CheckpointChoice

DEFAULT_COUNT = 1000
MAX_COUNT = 100_000
MAX_SETTINGS = 100
WEIGHTS = ("average", "raw")
LIST_HINT = "Separate several values by commas, as in --steps 5,10,20."

Value = TypeVar("Value")


@dataclass(frozen=True)
class SamplingGrid:
    """Lists of sampling settings, of which every combination is evaluated.

    Attributes:
        checkpoints: Steps of checkpoints, "best", or None for the last one.
        samplers: Names of samplers; None: the profile's.
        steps: Numbers of network calls; None: the profile's.
        time_grids: Names of time grids; None: the profile's.
        orders: Orders of the sampler; None: the profile's.
        guidances: Guidance scales; None: the profile's.
        intervals: Noise levels with guidance, [low, high]; None: the profile's.
        precisions: Precisions of the network; None: the profile's.
        weights: "average", "raw" and names of other averages; None: the profile's.
        rescales: Shares of rescaled guidance; None: the profile's.
        thresholds: Shares of dynamic thresholding; None: the profile's.
        guides: Weaker models of autoguidance; None: guidance is classifier-free.
    """

    checkpoints: "tuple[CheckpointChoice, ...]" = (None,)
    samplers: tuple[str | None, ...] = (None,)
    steps: tuple[int | None, ...] = (None,)
    time_grids: tuple[str | None, ...] = (None,)
    orders: tuple[int | None, ...] = (None,)
    guidances: tuple[float | None, ...] = (None,)
    intervals: tuple[tuple[float, ...] | None, ...] = (None,)
    precisions: tuple[str | None, ...] = (None,)
    weights: tuple[str | None, ...] = (None,)
    rescales: tuple[float | None, ...] = (None,)
    thresholds: tuple[float | None, ...] = (None,)
    guides: tuple[str | None, ...] = (None,)

    def combinations(self) -> "Iterator[tuple[CheckpointChoice, str | None, dict[str, object]]]":
        """Yield checkpoint, guiding model and sampling options of every combination."""
        options: dict[str, tuple[object, ...]] = {
            "--weights sampling.weights": self.weights,
            "--sampler sampling.sampler": self.samplers,
            "--steps sampling.steps": self.steps,
            "--time-grid sampling.grid": self.time_grids,
            "--order sampling.order": self.orders,
            "--guidance sampling.guidance": self.guidances,
            "--guidance-interval sampling.guidance_interval": tuple(
                interval and list(interval) for interval in self.intervals
            ),
            "--guidance-rescale sampling.guidance_rescale": self.rescales,
            "--threshold sampling.threshold": self.thresholds,
            "--precision sampling.precision": self.precisions,
        }
        for checkpoint, guide in itertools.product(self.checkpoints, self.guides):
            for values in itertools.product(*options.values()):
                yield checkpoint, guide, dict(zip(options, values, strict=True))


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate, and how.

    Attributes:
        subject: A run, an exported file, or a folder of images; None: the run last trained.
        references: A folder of what each image of the subject should be, by file name; None: none.
        against: A dataset to compare with; None: the held-out images of the run.
        grid: The sampling settings.
        count: Number of images to generate, or to read of a folder; None: the default.
        seed: Random seed of the generated images.
        same_noise: Whether image i of every class starts from the same noise.
        image_size: The size at which a folder is compared; None: that of its images.
        copies: Whether copies of training images are looked for.
        usefulness: Whether classifiers are trained with and without the generated images.
        filtered: Whether generated images of another class and copies are left out of that.
        real_per_class: Number of real images of each class for that; None: all.
        canonical: Whether the numbers of papers are measured as well.
        inception_weights: File of the weights of Inception; None downloads them.
        device: The device to generate on; None: the profile's.
        batch_size: Images generated at once; None: the profile's.
        runs_dir: The folder of runs; None: the default.
    """

    subject: str | None = None
    against: str | None = None
    references: str | None = None
    grid: SamplingGrid = SamplingGrid()
    count: int | None = None
    seed: int = 0
    same_noise: bool = False
    image_size: int | list[int] | None = None
    copies: bool = True
    usefulness: bool = False
    filtered: bool = False
    real_per_class: int | None = None
    canonical: bool = False
    inception_weights: Path | None = None
    device: str | None = None
    batch_size: int | None = None
    runs_dir: Path | None = None


def build_grid(
    *,
    checkpoints: "Sequence[CheckpointChoice]",
    sampler: str | None,
    steps: str | None,
    time_grid: str | None = None,
    order: str | None = None,
    guidance: str | None,
    guidance_interval: str | None = None,
    guidance_rescale: str | None = None,
    threshold: str | None = None,
    guide_with: str | None = None,
    weights: str | None,
    precision: str | None = None,
) -> SamplingGrid:
    """Parse the lists of sampling settings.

    Raises:
        UsageError: A value is invalid, or there are too many combinations.
    """
    from iddm_cli.profiles.choices import GRIDS, SAMPLERS
    from iddm_cli.profiles.settings import PrecisionName

    grid = SamplingGrid(
        checkpoints=tuple(dict.fromkeys(checkpoints)),
        samplers=_parse("--sampler", sampler, _choice("--sampler", tuple(SAMPLERS))),
        steps=_parse("--steps", steps, int),
        orders=_parse("--order", order, int),
        time_grids=_parse("--time-grid", time_grid, _choice("--time-grid", tuple(GRIDS))),
        guidances=_parse("--guidance", guidance, float),
        intervals=_parse("--guidance-interval", guidance_interval, _interval),
        precisions=_parse(
            "--precision", precision, _choice("--precision", get_args(PrecisionName))
        ),
        rescales=_parse("--guidance-rescale", guidance_rescale, float),
        thresholds=_parse("--threshold", threshold, float),
        guides=_parse("--guide-with", guide_with, _guide),
        weights=_parse("--weights", weights, _weights),
    )
    count = len(list(grid.combinations()))
    if count > MAX_SETTINGS:
        raise UsageError(
            f"these are {count} combinations of settings", f"Compare at most {MAX_SETTINGS}."
        )
    return grid


def _parse(
    option: str, text: str | None, convert: Callable[[str], Value]
) -> tuple[Value | None, ...]:
    return (None,) if text is None else tuple(_split(option, text, convert))


def _split(option: str, text: str, convert: Callable[[str], Value]) -> list[Value]:
    """Return the values between the commas, each once."""
    try:
        values = [convert(part.strip()) for part in text.split(",")]
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text} is not a list of numbers", LIST_HINT) from None
    return list(dict.fromkeys(values))


def _interval(text: str) -> tuple[float, ...]:
    from iddm_cli.profiles.overrides import parse_interval

    return tuple(parse_interval(text))


def _weights(text: str) -> str:
    from iddm_cli.records.weights_names import is_named_average

    if text in WEIGHTS or is_named_average(text):
        return text
    raise UsageError(
        f"--weights {text or repr(text)}: there is no such value",
        "There are: average, raw, and what iddm average makes, such as average-0.1.",
    )


def _guide(text: str) -> str | None:
    return None if text == "none" else text


def _choice(option: str, names: tuple[str, ...]) -> Callable[[str], str]:
    from iddm_cli.errors import did_you_mean

    def check(name: str) -> str:
        if name not in names:
            hint = f"{did_you_mean(name, names)} There are: {', '.join(names)}."
            raise UsageError(f"{option} {name or repr(name)}: there is no such value", hint.strip())
        return name

    return check
