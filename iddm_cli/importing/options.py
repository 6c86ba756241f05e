"""What the user says about a model file that the file does not say itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from iddm_cli.errors import CheckpointError, UsageError

OPTION_NAMES = {"class_names": "--class-names", "image_size": "--image-size",
                "activation": "--activation", "schedule": "--schedule"}  # fmt: skip

MAX_CLASS_NAME_BYTES = 1000


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import; None: not given.

    Attributes:
        class_names: Class names by label.
        image_size: Image size: one side, or height and width.
        activation: The network's activation function.
        schedule: The noise schedule.
    """

    class_names: tuple[str, ...] | None = None
    image_size: int | list[int] | None = None
    activation: str | None = None
    schedule: str | None = None

    def reject(self, *keys: str, reason: str) -> None:
        """Check that options that would have no effect are not given.

        Raises:
            UsageError: One is given.
        """
        for key in keys:
            if getattr(self, key) is not None:
                raise UsageError(f"{OPTION_NAMES[key]} has no effect: {reason}", "Leave it out.")

    def resolve_class_names(
        self, count: int, stored: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Return the names of `count` classes: as given, as stored, or their numbers.

        Raises:
            UsageError: The number of names given is not `count`.
            CheckpointError: The stored names are invalid.
        """
        if self.class_names is not None and len(self.class_names) != count:
            raise UsageError(
                f"--class-names gives {len(self.class_names)} names, and the model has "
                f"{count} classes",
                "Name every class, in the order of the labels.",
            )
        if self.class_names is not None:
            return self.class_names
        return parse_class_names(stored) if stored else tuple(map(str, range(count)))


def parse_class_names(names: object) -> tuple[str, ...]:
    """Return the class names that a file contains.

    Raises:
        CheckpointError: They are not strings, not distinct, or cannot be stored.
    """
    items = list(names) if isinstance(names, list | tuple) else [None]
    valid = all(isinstance(name, str) and name and _is_storable(name) for name in items)
    if not valid or len(set(items)) < len(items):
        raise CheckpointError(
            "its class names are not a list of distinct strings", "Give --class-names instead."
        )
    return tuple(str(name) for name in items)


def _is_storable(name: str) -> bool:
    try:
        return len(name.encode()) <= MAX_CLASS_NAME_BYTES
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
