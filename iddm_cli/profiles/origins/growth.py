"""How a trained network grows with the size of its images: more levels outside, larger patches.

The innermost levels stay what they are, since they see the largest shapes of an image, whatever its
number of pixels. So most of a training can happen on small images, where it is cheap (Vasconcelos
et al. 2024, arXiv:2405.16759, section 3).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from iddm_cli.profiles.model_settings import BackboneSettings, DiTSettings, UNetSettings

GROWING_KEYS = ("model.channel_multipliers", "model.attention_levels", "model.patch_size")
"""Settings of a network that change where it grows."""


@dataclass(frozen=True)
class Growth:
    """How a network differs from the one that it grew from.

    Attributes:
        levels: Number of levels that were added outside.
        patch: Factor of the side of its patches.
    """

    levels: int = 0
    patch: int = 1

    def __bool__(self) -> bool:
        return self.levels > 0 or self.patch > 1


def measure_ratio(before: tuple[int, int], now: tuple[int, int]) -> float:
    """Return how many times as large images are: the root of the ratio of their pixels.

    Args:
        before: Height and width of the smaller images.
        now: Height and width of the larger ones.
    """
    return math.sqrt(now[0] * now[1] / (before[0] * before[1]))


def find_growth(before: BackboneSettings, now: BackboneSettings) -> Growth | None:
    """Return how a network grew from another one; None where it did not come from it by growing."""
    if isinstance(before, UNetSettings) and isinstance(now, UNetSettings):
        levels = len(now.channel_multipliers) - len(before.channel_multipliers)
        inner = [level - levels for level in now.attention_levels if level >= levels]
        is_grown = (
            levels >= 0
            # The first width decides that of the embedding, which conditions all blocks.
            and now.channel_multipliers[0] == before.channel_multipliers[0]
            and now.channel_multipliers[levels:] == before.channel_multipliers
            and sorted(inner) == sorted(before.attention_levels)
            and now.patch_size % before.patch_size == 0
        )
        return Growth(levels, now.patch_size // before.patch_size) if is_grown else None
    if isinstance(before, DiTSettings) and isinstance(now, DiTSettings):
        divides = now.patch_size % before.patch_size == 0
        return Growth(patch=now.patch_size // before.patch_size) if divides else None
    return Growth() if type(before) is type(now) else None


def choose_growth(
    before: BackboneSettings,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    given: Mapping[str, object],
) -> dict[str, object]:
    """Return the settings with which a network grows with its images, by their keys.

    A U-Net gets a level outside for each doubling, as wide as its outermost one, and a transformer
    larger patches. Larger patches that are given take the place of levels.

    Args:
        before: The settings of the trained network.
        sizes: Height and width of its images, and of the new ones.
        given: Those of GROWING_KEYS that the user sets.
    """
    if isinstance(before, DiTSettings):
        if "model.patch_size" in given:
            return {}
        doublings = _count_doublings(sizes, before.patch_size)
        return {"model.patch_size": before.patch_size * 2**doublings} if doublings else {}
    if not isinstance(before, UNetSettings):
        return {}
    multipliers = before.channel_multipliers
    chosen: dict[str, object] = {}
    if isinstance(wanted := given.get("model.channel_multipliers"), list):
        levels = len(wanted) - len(multipliers)
    else:
        patch = given.get("model.patch_size")
        factor = patch // before.patch_size if type(patch) is int else 1
        divisor = before.size_divisor * max(1, factor)
        levels = _count_doublings(sizes, divisor, done=int(math.log2(max(1, factor))))
        chosen["model.channel_multipliers"] = [multipliers[0]] * levels + multipliers
    if levels <= 0:
        return {}
    if "model.attention_levels" not in given:
        chosen["model.attention_levels"] = [level + levels for level in before.attention_levels]
    return chosen


def _count_doublings(
    sizes: tuple[tuple[int, int], tuple[int, int]], divisor: int, done: int = 0
) -> int:
    """Return how often a network halves larger images more than it did smaller ones.

    Of the numbers on both sides of the ratio it is the nearest by which they can be divided, or the
    nearest.

    Args:
        sizes: Height and width of the smaller and of the larger images.
        divisor: Number of pixels that must divide a side already.
        done: Doublings that larger patches account for.
    """
    exact = math.log2(measure_ratio(*sizes)) - done
    nearest = math.floor(exact + 0.5)
    for count in sorted({math.floor(exact), math.ceil(exact)}, key=lambda n: abs(n - exact)):
        if count > 0 and all(side % (divisor * 2**count) == 0 for side in sizes[1]):
            return count
    return max(0, nearest)
