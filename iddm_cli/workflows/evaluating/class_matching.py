"""Classes of different sets, matched by their names."""

import unicodedata
from collections.abc import Sequence

MAX_LISTED = 8


def match_classes(names: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """Return the index of each name among the classes, in any Unicode normal form, or None."""
    known = {unicodedata.normalize("NFC", name): label for label, name in enumerate(classes)}
    return [known.get(unicodedata.normalize("NFC", name)) for name in names]


def list_names(names: Sequence[str]) -> str:
    """Return names for a sentence, the first few of many."""
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
