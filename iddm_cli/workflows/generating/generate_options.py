"""What `iddm generate` is asked for: its options, and which of them contradict each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.workflows.models import CheckpointChoice

DEFAULT_COUNT = 16
DEFAULT_STRENGTH = 0.5
DEFAULT_NOISE_LEVEL = 0.1
"""Of generated images that are upscaled: hides errors of the model that generated them."""

AnimationName = Literal["webp", "gif"]
ShardFormName = Literal["tar", "parquet"]


@dataclass(frozen=True)
class GenerateOptions:
    """The options of `iddm generate`.

    Attributes:
        model: Name or folder of a run, or an exported file; None: the run last trained.
        runs_dir: Folder of all runs; None: the usual one.
        classes: Names or indices of classes, or all; None: all.
        count: Number of images per class; None: DEFAULT_COUNT.
        start: Index of the first image of each class; None: 0.
        index: Indices of images, instead of a number of them.
        seed: Random seed.
        same_noise: Whether image i starts from the same noise in every class.
        source: An image, or a folder of images, to generate variations of.
        strength: How much of each is made anew, from 0 to 1; None: DEFAULT_STRENGTH, or 1 with a
            mask.
        mask: A mask, or a folder of masks, of what is generated.
        interpolate: Two indices and a number of images between them.
        trajectory: The format of animations of the way from noise to image; None: none are made.
        size: Height and width in pixels; None: those that the model was trained at.
        windows: Whether a larger image is computed in windows; None: as the model was trained.
        sampling: Options that change the profile, see `load_sampling_profile`.
        checkpoint: The checkpoint.
        guide_with: The weaker model of autoguidance, see `guiding.parse_guide`.
        upscale: A run that upscales each image, or an exported file of one; None: none does.
        noise_level: Level of the noise that an image gets before; None: DEFAULT_NOISE_LEVEL.
        out: The folder; None: a new one.
        form: File format; None: one that can hold the values.
        to: The format of the shards that are written; None: a folder of images.
        grid: Whether an overview is written.
        overwrite: Whether the folder may hold other files already, and existing images are
            generated again.
        devices: How many devices generate, or which GPUs; None: one.
        shard: Which share of the images is generated, see `image_shares.parse_shard`; None: all.
        as_json: Whether the result is printed as JSON.
    """

    model: str | None = None
    runs_dir: Path | None = None
    classes: tuple[str, ...] | None = None
    count: int | None = None
    start: int | None = None
    index: str | None = None
    seed: int = 0
    same_noise: bool = False
    source: Path | None = None
    strength: float | None = None
    mask: Path | None = None
    interpolate: str | None = None
    trajectory: AnimationName | None = None
    size: tuple[int, int] | None = None
    windows: bool | None = None
    sampling: Mapping[str, object] = field(default_factory=dict)
    checkpoint: "CheckpointChoice" = None
    guide_with: str | None = None
    upscale: str | None = None
    noise_level: float | None = None
    out: Path | None = None
    form: str | None = None
    to: ShardFormName | None = None
    grid: bool = True
    overwrite: bool = False
    devices: int | list[int] | None = None
    shard: str | None = None
    as_json: bool = False

    @property
    def effective_strength(self) -> float:
        """How much of each image is made anew."""
        if self.strength is not None:
            return self.strength
        return DEFAULT_STRENGTH if self.mask is None else 1.0

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            UsageError: Two of them contradict each other, or one needs another.
        """
        given = self.list_given()
        for one, other, reason in CONFLICTS:
            if one in given and other in given:
                raise UsageError(f"{one} and {other} cannot be combined: {reason}", HINT)
        for one, other, reason in REQUIREMENTS:
            if one in given and other not in given:
                raise UsageError(f"{one} needs {other}: {reason}", f"Add {other}.")
        if not 0 <= self.effective_strength <= 1:  # neither is NaN
            raise UsageError(
                f"--strength {self.strength} is not a share", "Write a number from 0 to 1."
            )
        if self.mask is not None and self.form == "jpg":
            raise UsageError(
                "--format jpg changes every pixel, and --mask keeps some exactly",
                "Use --format png or --format webp.",
            )

        if self.trajectory is not None and self.strength == 0:
            raise UsageError(
                "--trajectory: with --strength 0 images stay as they are",
                "Choose a larger --strength.",
            )

    def list_given(self) -> set[str]:
        """Return the names of the options that were given, of those that can contradict others."""
        options = {
            "--count": self.count,
            "--start": self.start,
            "--index": self.index,
            "--from": self.source,
            "--strength": self.strength,
            "--mask": self.mask,
            "--interpolate": self.interpolate,
            "--shard": self.shard,
            "--upscale": self.upscale,
            "--noise-level": self.noise_level,
            "--out": self.out,
            "--size": self.size,
            "--windows": self.windows,
            "--overlap": self.sampling.get("--overlap sampling.window_overlap"),
            "--to": self.to,
            "--trajectory": self.trajectory,
        }
        return {name for name, value in options.items() if value is not None}


HINT = "Leave out one of them."

CONFLICTS = (
    ("--index", "--count", "the indices say how many images there are"),
    ("--start", "--index", "the indices say which images"),
    ("--start", "--interpolate", "its first two numbers are the indices"),
    ("--start", "--from", "the variations of each image are counted from one to the next"),
    ("--interpolate", "--count", "its last number says how many images there are"),
    ("--interpolate", "--index", "its first two numbers are the indices"),
    ("--to", "--trajectory", "a trajectory is a file beside an image"),
    ("--interpolate", "--from", "its images lie between two noises"),
    ("--upscale", "--mask", "upscaling changes the pixels that a mask keeps"),
    ("--upscale", "--trajectory", "it would show the way of the smaller images"),
)
"""Pairs of options of which one has no meaning beside the other, and why."""

REQUIREMENTS = (
    ("--mask", "--from", "a mask says which pixels of an image are kept"),
    ("--strength", "--from", "it says how much of an image is made anew"),
    ("--windows", "--size", "it says how a larger image is computed"),
    ("--overlap", "--size", "it says how much the windows of a larger image share"),
    ("--noise-level", "--upscale", "images get this noise before they are upscaled"),
    ("--shard", "--out", "all shards write into one folder, or each into one of its own"),
)
"""Options that have a meaning only beside another, and why."""
