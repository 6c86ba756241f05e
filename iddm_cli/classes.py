"""Classes as users write them: names, indices, or `all`."""

import unicodedata
from collections.abc import Sequence
from typing import Literal

from iddm_cli.errors import UsageError, did_you_mean

MAX_DIGITS = 18
MAX_LISTED = 12
"""Most classes that an error message lists."""


def is_index(text: str) -> bool:
    """Return whether a text is a non-negative whole number of at most MAX_DIGITS digits."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def find_class(text: str, classes: Sequence[str]) -> int | None:
    """Return the label of a class by its name or index, or None if there is no such class.

    Names take precedence over indices, since a class may be named 3. A name may be in any Unicode
    normal form, because systems and input methods differ in how they write it.
    """
    if text in classes:
        return classes.index(text)
    label = _find_normalized(text, classes, "NFC")
    if label is None and is_index(text) and int(text) < len(classes):
        return int(text)
    return _find_normalized(text, classes, "NFKC") if label is None else label


def _find_normalized(text: str, classes: Sequence[str], form: Literal["NFC", "NFKC"]) -> int | None:
    """Return the label of the only class that equals a name in a Unicode normal form."""
    wanted = unicodedata.normalize(form, text)
    found = [i for i, name in enumerate(classes) if unicodedata.normalize(form, name) == wanted]
    return found[0] if len(found) == 1 else None


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
