"""Classes as users write them: names, indices, or `all`."""

from collections.abc import Sequence

from iddm_cli.errors import UsageError, did_you_mean

MAX_DIGITS = 18
MAX_LISTED = 12
"""Most classes that an error message lists."""


def is_index(text: str) -> bool:
    """Return whether a text is a non-negative whole number of at most MAX_DIGITS digits."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def find_class(text: str, classes: Sequence[str]) -> int | None:
    """Return the label of a class by its name or index, or None if there is no such class.

    Names take precedence over indices, since a class may be named 3.
    """
    if text in classes:
        return classes.index(text)
    if is_index(text) and int(text) < len(classes):
        return int(text)
    return None


def choose_classes(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the labels of classes by their names or indices, or of `all`, without duplicates.

    Args:
        names: Names, indices and `all`, as given to --class.
        classes: Names of the model's classes, by label; empty for an unconditional model, whose
            only label is 0.

    Raises:
        UsageError: The model has no such class.
    """
    if not classes:
        if list(names) != ["all"]:
            raise UsageError(
                f"--class {names[0]}: this run was trained without classes", "Leave --class out."
            )
        return [0]
    labels: list[int] = []
    for name in names:
        labels += range(len(classes)) if name == "all" else [_get_label(name, classes)]
    return list(dict.fromkeys(labels))


def _get_label(name: str, classes: Sequence[str]) -> int:
    label = find_class(name, classes)
    if label is not None:
        return label
    known = ", ".join(f"{label} {name}" for label, name in enumerate(classes[:MAX_LISTED]))
    more = ", ..." if len(classes) > MAX_LISTED else ""
    hint = f"{did_you_mean(name, classes)} There are: {known}{more}."
    raise UsageError(f"--class {name}: the run has no such class", hint.strip())
