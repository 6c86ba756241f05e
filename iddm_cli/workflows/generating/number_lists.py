"""Numbers of images, as users write them: 7,12,20-30, and 7:12:9."""

from dataclasses import dataclass

from iddm_cli.classes import is_index
from iddm_cli.errors import UsageError

MAX_IMAGES = 1_000_000
"""Images of one call at most, and the bound of their indices."""


def parse_indices(text: str) -> list[int]:
    """Parse --index: indices and ranges of them, without duplicates, ascending.

    Raises:
        UsageError: The text is something else, or an index is too large.
    """
    indices: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = [first, last if dash else first]
        if not all(is_index(end) for end in ends) or int(ends[0]) > int(ends[1]):
            raise UsageError(
                f"--index {text or repr(text)} is not a list of indices",
                "Write 7, or 7,12, or 7,12,20-30.",
            )
        check_last(int(ends[1]), f"--index {ends[1]}")
        indices.update(range(int(ends[0]), int(ends[1]) + 1))
    return sorted(indices)


@dataclass(frozen=True)
class Interpolation:
    """A path between the noises of two images.

    Attributes:
        start: Index of the image at its start.
        end: Index of the image at its end.
        count: Number of images on it, with both ends, at least 2.
    """

    start: int
    end: int
    count: int

    def positions(self) -> list[float]:
        """Return the position of each image, from 0 (start) to 1 (end)."""
        return [k / (self.count - 1) for k in range(self.count)]


def parse_interpolation(text: str) -> Interpolation:
    """Parse --interpolate: two indices and a number of images.

    Raises:
        UsageError: The text is something else.
    """
    parts = text.split(":")
    hint = "Write the two indices and the number of images: 7:12:9."
    if len(parts) != 3 or not all(is_index(part) for part in parts):
        raise UsageError(f"--interpolate {text or repr(text)} is not a path", hint)
    start, end, count = map(int, parts)
    if start == end:
        raise UsageError(f"--interpolate {text}: both ends are image {start}", hint)
    if count < 2:
        raise UsageError(f"--interpolate {text}: a path has at least its two ends", hint)
    if max(start, end) >= MAX_IMAGES:
        raise UsageError(f"--interpolate {text}: indices go up to {MAX_IMAGES - 1:,}", hint)
    return Interpolation(start, end, count)


def check_total(total: int, option: str) -> None:
    """Check the number of images.

    Args:
        total: Number of images.
        option: What asks for so many, as on the command line.

    Raises:
        UsageError: There would be so many that their list alone would fill the memory.
    """
    if total > MAX_IMAGES:
        raise UsageError(
            f"{option} would be {total:,} images",
            f"Generate at most {MAX_IMAGES:,} at a time; another --seed gives other images.",
        )


def check_last(index: int, option: str) -> None:
    """Check the highest index.

    Args:
        index: The index.
        option: What asks for it, as on the command line.

    Raises:
        UsageError: It is beyond the bound of all indices.
    """
    if index >= MAX_IMAGES:
        raise UsageError(
            f"{option} is too large",
            f"Indices go up to {MAX_IMAGES - 1:,}; another --seed gives other images.",
        )
