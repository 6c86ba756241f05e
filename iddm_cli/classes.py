"""Classes as people name them: by name, or by index."""

from collections.abc import Sequence

LONGEST_NUMBER = 18


def is_number(text: str) -> bool:
    """Whether a text is a whole number that fits anywhere."""
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


def find_class(text: str, classes: Sequence[str]) -> int | None:
    """Return the index of a class; None where there is no such class.

    A name goes before an index, since a class may be named 3.
    """
    if text in classes:
        return classes.index(text)
    if is_number(text) and int(text) < len(classes):
        return int(text)
    return None
