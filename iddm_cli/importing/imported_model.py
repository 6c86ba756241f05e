"""What every reader of foreign files is asked, and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from iddm_cli.checkpoints.tensors import (
    Tensors,
    TensorSpecs,
    check_compatible,
    find_non_finite,
    truncate,
)
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.profiles.messages import explain_errors
from iddm_cli.profiles.profile import Profile, ResolvedProfile
from iddm_cli.profiles.rules import check_rules

Expect = Callable[[ResolvedProfile, int], TensorSpecs]
"""Returns the tensors of a profile's network with so many classes, of which none is made."""

UNKNOWN_DATA_PATH = "not-known"
"""Stands for data.path, until the run is first trained."""

FLOATS = ("float16", "bfloat16", "float64")
"""Types that weights may have besides float32, which they become."""

OPTIONS = {"class_names": "--class-names", "image_size": "--image-size",
           "activation": "--activation", "schedule": "--schedule"}  # fmt: skip


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a file that it does not say itself; None: nothing.

    Attributes:
        class_names: Names of the classes, by index.
        image_size: Size of the pictures: a side, or height and width.
        activation: The network's non-linearity.
        schedule: The noise schedule.
    """

    class_names: tuple[str, ...] | None = None
    image_size: int | list[int] | None = None
    activation: str | None = None
    schedule: str | None = None

    def refuse(self, *keys: str, why: str) -> None:
        """Refuse options that can change nothing.

        Raises:
            UsageError: One was given.
        """
        for key in keys:
            if getattr(self, key) is not None:
                raise UsageError(f"{OPTIONS[key]} has no meaning here: {why}", "Leave it out.")

    def names(self, count: int, stored: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the names of `count` classes: as asked, as stored, or their numbers.

        Raises:
            UsageError: Another number of names was given.
            CheckpointError: The file's own names are not usable.
        """
        if self.class_names is not None and len(self.class_names) != count:
            raise UsageError(
                f"--class-names gives {len(self.class_names)} names, and the model has "
                f"{count} classes",
                "Name each of them, in the order of its index.",
            )
        if self.class_names is not None:
            return self.class_names
        return check_names(stored) if stored else tuple(map(str, range(count)))


@dataclass(frozen=True)
class ImportedModel:
    """A model that was read.

    Attributes:
        form: What it was: IDDM, diffusers or safetensors.
        profile: How it was trained, as far as that is known.
        classes: Names of its classes, by index.
        raw: Weights as the optimizer left them, under our names.
        average: Their average.
        notes: What was assumed or left out, in sentences.
    """

    form: str
    profile: ResolvedProfile
    classes: tuple[str, ...]
    raw: Tensors
    average: Tensors
    notes: tuple[str, ...] = ()


def check_names(names: object) -> tuple[str, ...]:
    """Refuse class names from a file that are no such names.

    Raises:
        CheckpointError: They are no texts, not all different, or cannot be stored.
    """
    told: list[Any] = list(names) if isinstance(names, list | tuple) else [None]
    usable = all(isinstance(name, str) and name and _is_storable(name) for name in told)
    if not usable or len(set(told)) < len(told):
        raise CheckpointError(
            "its class names are no list of different texts", "Give --class-names instead."
        )
    return tuple(told)


def _is_storable(name: str) -> bool:
    try:
        return len(name.encode()) <= 1000
    except UnicodeEncodeError:  # half a pair of surrogates
        return False


def _resolve_channels(profile: Profile) -> ResolvedProfile:
    if profile.data.channels == "auto":
        raise CheckpointError("its profile does not contain the number of channels")
    return profile.resolve(profile.data.channels)


def make_profile(tables: dict[str, dict[str, Any]], asked: ImportOptions) -> ResolvedProfile:
    """Return the profile of a foreign model, each value checked as a user's would be.

    Raises:
        CheckpointError: The file asks for something that no profile can say.
        UsageError: An option does.
    """
    try:
        profile = Profile.model_validate(tables)
    except ValidationError as error:
        faults = explain_errors(error)
    else:
        faults = list(check_rules(profile))
        if not faults:
            return _resolve_channels(profile)
    told = "; ".join(truncate(fault.problem) for fault in faults[:3])
    if asked.image_size is not None and faults[0].path[:2] == ("data", "image_size"):
        raise UsageError(f"--image-size: {told}", faults[0].hint)
    raise CheckpointError(f"it cannot be imported: {told}", faults[0].hint)


def picture_tables(size: object, channels: object, *, classes: int) -> dict[str, Any]:
    """Return the data section of a model whose pictures are not known."""
    return {
        "path": UNKNOWN_DATA_PATH,
        "image_size": list(size) if isinstance(size, tuple) else size,
        "channels": channels,
        "conditional": classes > 0,
    }


def check_weights(expected: TensorSpecs, found: TensorSpecs, what: str) -> None:
    """Account for every tensor, by name and shape, before any is read.

    Raises:
        CheckpointError: One is missing, unexpected, of another shape, or no weights.
    """
    as_read = {
        name: (shape, "float32" if kind in FLOATS else kind)
        for name, (shape, kind) in found.items()
    }
    check_compatible(
        expected, as_read, what, hint="Every tensor must be known by its name and shape."
    )


def as_weights(tensors: Tensors, what: str) -> Tensors:
    """Return tensors as we keep weights: float32, each in memory of its own.

    Raises:
        CheckpointError: One holds numbers that are not finite.
    """
    copied = {name: tensor.detach().float().clone() for name, tensor in tensors.items()}
    name = find_non_finite(copied)
    if name is not None:
        raise CheckpointError(f"{what}: {truncate(name)} holds numbers that are not finite")
    return {name: tensor.contiguous() for name, tensor in copied.items()}
