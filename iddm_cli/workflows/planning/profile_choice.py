"""The choice of a profile for a dataset, where the user names none."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.distributed.environment import read_rank_info
from iddm_cli.profiles.loading import build_profile, list_profiles
from iddm_cli.profiles.overrides import Override
from iddm_cli.profiles.strict_yaml import Document

if TYPE_CHECKING:
    from iddm_cli.data.sources.source import Source
    from iddm_cli.profiles.profile import Profile
    from iddm_cli.profiles.settings import DataSettings

DEFAULT_PROFILE = "demo"

SAMPLED_IMAGES = 24
"""Images that are decoded to find the size and the colours of a dataset."""

FEW_IMAGES = (50, 500)
"""Numbers of images that `small-set` is made for, the lowest and the highest."""

LARGE_SIDE = 96
"""Longer side, in pixels, from which images are large: others suit networks without patches."""

HELD_OUT_FROM = 10
"""Images of a class from which on some are held out, which `small-set` needs."""


@dataclass(frozen=True)
class DatasetFacts:
    """What the choice of a profile depends on.

    Attributes:
        images: Number of images.
        height: Median height of their files, in pixels; 0 if no sampled one can be decoded.
        width: Median width of their files, in pixels.
        channels: 1 where all sampled images are grey, else the most bands of one.
        classes: Number of classes; 0 where it has none.
        device: Type of the device to train on: cpu, cuda or mps.
        wanted: The longer side at which the user wants to train; 0: as the profile says.
    """

    images: int
    height: int
    width: int
    channels: int
    classes: int
    device: str
    wanted: int = 0

    @property
    def side(self) -> int:
        """The shorter side of an image."""
        return min(self.height, self.width)

    def __str__(self) -> str:
        colours = {1: "grey", 3: "in colour"}.get(self.channels, f"of {self.channels} bands")
        device = "a CPU" if self.device == "cpu" else "a GPU"
        counted = "1 image" if self.images == 1 else f"{self.images:,} images"
        return f"{counted} of {self.height} x {self.width}, {colours}, on {device}"


@dataclass(frozen=True)
class ProfileRule:
    """A profile that suits some datasets.

    Attributes:
        profile: Its name.
        suits: Whether it suits a dataset, if no earlier rule does.
        reason: Why, for the user.
    """

    profile: str
    suits: Callable[[DatasetFacts], bool]
    reason: str


PROFILE_RULES = (
    ProfileRule(
        "small-set",
        lambda facts: (
            FEW_IMAGES[0] <= facts.images <= FEW_IMAGES[1]
            and facts.images >= HELD_OUT_FROM * facts.classes
        ),
        "made for few images",
    ),
    ProfileRule(
        "neu-det-200",
        lambda facts: facts.device != "cpu" and facts.wanted >= LARGE_SIDE,  # days on a CPU
        "made for large images, with patches, shifted noise and parts of a batch that fit",
    ),
    ProfileRule(
        "landscape",
        lambda facts: (
            facts.device != "cpu" and facts.classes == 0 and facts.channels >= 3
            and facts.side >= 96 and facts.width >= 1.2 * facts.height
        ),
        "wide colour photos without classes",
    ),
    ProfileRule(
        "neu-det",
        lambda facts: facts.side >= 48,
        "trains at 64 x 64, on a CPU within minutes, on mirrored images as well",
    ),
    ProfileRule(
        "fashion-mnist",
        lambda facts: facts.device == "cpu",
        "its network trains on a CPU within minutes, at 32 x 32",
    ),
    ProfileRule("fashion-mnist", lambda facts: facts.channels == 1, "small grey images"),
    ProfileRule("cifar10", lambda _: True, "small colour images"),
)  # fmt: skip
"""In order of precedence: the first rule that suits decides. docs/recipes.md has the same table."""


def choose_profile(overrides: Sequence[Override]) -> str:
    """Return the name of the profile to train with, and print which and why.

    Without a dataset it is `demo`, which brings its own images.

    Args:
        overrides: The settings that the command was given.

    Raises:
        DatasetError: There is no such dataset, or it contains nothing to train on.
        UsageError: A setting is invalid, or the machine does not have the device.
    """
    path = next((o.value for o in reversed(overrides) if o.key == "data.path"), DEFAULT_PROFILE)
    if path == DEFAULT_PROFILE:
        return DEFAULT_PROFILE
    facts = replace(find_facts(_settings_for_reading(overrides)), wanted=_find_wanted(overrides))
    rule = find_shipped_rule(facts)
    rank_info = read_rank_info()
    if facts.side and (rank_info is None or rank_info.rank == 0):
        console.print_note(
            f"profile {rule.profile}, chosen for {facts}: {rule.reason}; --profile NAME selects "
            "another one"
        )
    return rule.profile


def _find_wanted(overrides: Sequence[Override]) -> int:
    """Return the longer side that the user sets; 0 without one, or where it is not valid."""
    values = [override.value for override in overrides if override.key == "data.image_size"]
    value = values[-1] if values else 0
    sides = value if isinstance(value, list) else [value]
    return max((side for side in sides if type(side) is int), default=0)


def find_rule(facts: DatasetFacts, known: Collection[str]) -> ProfileRule:
    """Return the first rule that suits a dataset.

    Args:
        facts: What is known of the dataset.
        known: Names of the profiles that there are.
    """
    return next(rule for rule in PROFILE_RULES if rule.profile in known and rule.suits(facts))


def find_shipped_rule(facts: DatasetFacts) -> ProfileRule:
    """Return the first rule that suits a dataset, of a profile that this installation has."""
    return find_rule(facts, {entry.name for entry in list_profiles()})


def find_facts(settings: "Profile") -> DatasetFacts:
    """Return what the choice depends on; a few images are decoded.

    Args:
        settings: Where the dataset is and how to read it, and the device.

    Raises:
        DatasetError: There is no such dataset, or it contains nothing to train on.
        UsageError: The machine does not have the device.
    """
    from iddm_cli.data.sources.registry import open_dataset

    source = open_dataset(settings.data)

    from iddm_cli.engine.device import choose_device

    return describe_source(source, settings.data, choose_device(settings.runtime.device).type)


def describe_source(source: "Source", data: "DataSettings", device: str) -> DatasetFacts:
    """Return what the choice depends on, for an open dataset; a few images are decoded.

    Args:
        source: The dataset.
        data: How to read it.
        device: Type of the device to train on.
    """
    from iddm_cli.data.inspection.image_sample import sample_images

    sample = sample_images(source, data, most=SAMPLED_IMAGES)
    is_grey = all(image.grey for image in sample)
    return DatasetFacts(
        images=len(source),
        height=int(median([image.height for image in sample] or [0])),
        width=int(median([image.width for image in sample] or [0])),
        channels=1 if is_grey else max(image.bands for image in sample),
        classes=len(source.classes) if data.conditional is not False else 0,
        device=device,
    )


def _settings_for_reading(overrides: Sequence[Override]) -> "Profile":
    """Return the default profile with the given settings of how to read images, and where to train.

    The image size is left out: the profile that is chosen decides which sizes are possible.
    """
    given = [
        override
        for override in overrides
        if override.key.startswith(("data.", "runtime.")) and override.key != "data.image_size"
    ]
    return build_profile(Path("defaults"), Document({}), given)
