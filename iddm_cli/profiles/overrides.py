"""Overrides: settings from the command line that replace those of a profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iddm_cli.errors import ProfileError, UsageError
from iddm_cli.profiles.checking.messages import suggest_key
from iddm_cli.profiles.profile import Profile, list_keys
from iddm_cli.profiles.strict_yaml import parse_value, shorten


@dataclass(frozen=True)
class Override:
    """One setting from the command line.

    Attributes:
        key: Dotted key, such as training.lr.
        value: Value, parsed as YAML.
        origin: The option as the user spelled it, for messages.
    """

    key: str
    value: object
    origin: str


def parse_override(text: str) -> Override:
    """Parse the argument of --set.

    Raises:
        ProfileError: The text is not KEY=VALUE, or the key is unknown.
    """
    key, equals, value = text.partition("=")
    key, origin = key.strip(), f"--set {shorten(text)}"
    if not equals:
        raise ProfileError(f"{origin}: no value", "Write --set KEY=VALUE.")
    if key not in list_keys():
        named = shorten(key) or "''"
        hint = suggest_key(named)
        raise ProfileError(f"{origin}: unknown setting {named}", hint)
    return Override(key, parse_value(value, origin), origin)


def collect_overrides(
    options: Mapping[str, object], sets: Sequence[str] | None = None
) -> list[Override]:
    """Return the overrides of --set, followed by those of the options, which win.

    Args:
        options: Value of each option, by its spelling and key: {"--steps training.steps": 5}.
            Options that are None were not given.
        sets: Arguments of --set.

    Raises:
        ProfileError: An argument of --set is malformed.
    """
    overrides = [parse_override(text) for text in sets or []]
    for spelling, value in options.items():
        if value is not None:
            option, key = spelling.split()
            overrides.append(Override(key, value, option))
    return overrides


def parse_interval(text: str) -> list[float]:
    """Parse --guidance-interval: LOW:HIGH, noise levels in [0, 1].

    Raises:
        UsageError: The text is not that.
    """
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(
            f"--guidance-interval {text} is not LOW:HIGH",
            "Write two noise levels from 0 (clean) to 1 (noise), such as 0.2:0.8.",
        ) from None
    return [low, high]


RESUMABLE_SECTIONS = ("training", "evaluation", "sampling", "runtime")
"""Sections that may change when a run resumes."""

RESUMABLE_KEYS = (
    *("data.path", "data.layout", "data.archive_encoding"),
    *("data.cache", "data.workers", "data.timeout"),
)
"""Other keys that may change when a run resumes; the run checks the images by their digest."""

FIXED_BY_IMPORT = ("data.image_size", "data.channels", "data.conditional")
"""Data settings that an imported model fixes before it has a dataset."""


SECTIONS_NOT_OF_THE_WEIGHTS = ("evaluation", "sampling", "runtime")
"""Sections that decide no weights."""

NOT_OF_THE_WEIGHTS = (
    *RESUMABLE_KEYS, "data.channels", "data.held_out", "data.label_column", "data.on_error",
    "training.steps", "training.epochs", "training.micro_batch", "training.recompute",
    "training.lr_extension", "training.max_skipped", "training.log_every",
    "training.checkpoint_every", "training.checkpoint_from", "training.keep",
    "training.keep_every", "training.keep_best", "training.stop_when", "training.sample_every",
    "training.sample_count", "training.average_snapshots",
)  # fmt: skip
"""Keys of other sections that decide no weights, or do it through something else.

The images are checked by their digest, the number of steps is compared as such, and the
micro-batch is one of the numerics.
"""


def select_recipe(profile: Profile) -> dict[str, object]:
    """Return the settings that decide the weights step by step, by their keys."""
    return {
        key: value
        for key, value in profile.flatten().items()
        if key.split(".")[0] not in SECTIONS_NOT_OF_THE_WEIGHTS and key not in NOT_OF_THE_WEIGHTS
    }


def check_resumable(overrides: Sequence[Override], *, has_dataset: bool = True) -> None:
    """Refuse to change settings that the trained weights depend on.

    Args:
        overrides: The overrides of the resumed run.
        has_dataset: Whether the run knows its dataset; an imported model does not at first, so
            that most data settings may still be chosen.

    Raises:
        UsageError: An override changes the data, the model or the diffusion process.
    """
    for override in overrides:
        section = override.key.split(".")[0]
        allowed = section in RESUMABLE_SECTIONS or override.key in RESUMABLE_KEYS
        if not has_dataset and section == "data" and override.key not in FIXED_BY_IMPORT:
            allowed = True
        if not allowed:
            raise UsageError(
                f"{override.origin}: {override.key} cannot change once a run has started",
                "Start a new run with it: iddm train --profile RUN/profile.yaml",
            )
