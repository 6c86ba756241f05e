"""Shards: folders that only divide many images into parts, and are not classes."""

from collections.abc import Mapping

MIN_DIGITS = 4


def describe_shards(counts: Mapping[str, int]) -> str:
    """Return a warning if class folders look like shards (00000, 00001, ...); "" if not.

    Such folders have numbers of the same width, beginning with zeros, and the same number of
    images; the last may have fewer. The folders 0 to 9 of MNIST are classes.

    Args:
        counts: Number of images of each class folder.
    """
    names = sorted(counts)
    if len(names) < 2 or not all(name.isascii() and name.isdecimal() for name in names):
        return ""
    is_padded = len({len(name) for name in names}) == 1 and len(names[0]) >= MIN_DIGITS
    sizes = [counts[name] for name in names]
    is_even = len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0]
    if not (is_padded and is_even and int(names[0]) <= 1):
        return ""
    return (
        f"the folders {names[0]}, {names[1]}, ... look like parts of one set, not like classes: "
        "data.conditional: false trains without classes"
    )
