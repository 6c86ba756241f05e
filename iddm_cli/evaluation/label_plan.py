"""The classes of images to generate: in the proportions of the real ones, each at least a few."""

import heapq
from collections.abc import Sequence

FEW = 3
"""Images of a class at least, where the number of images allows it."""


def plan_labels(counts: Sequence[int], count: int) -> list[int]:
    """Return the labels of the images to generate, in order.

    First come rounds of all classes, then the class that is furthest behind its share: the divisor
    method of Sainte-Laguë. So a larger number of images begins with the same labels, unless it
    allows another round.

    Args:
        counts: Number of real images of each class; of a class without any, none are generated.
        count: Number of images in all.
    """
    used = [label for label, real in enumerate(counts) if real > 0]
    rounds = min(FEW, count // len(used))
    labels = rounds * used
    behind = [_entry(counts[label], rounds, label) for label in used]
    heapq.heapify(behind)
    while len(labels) < count:
        _, label, made = behind[0]
        labels.append(label)
        heapq.heapreplace(behind, _entry(counts[label], made + 1, label))
    return labels


def _entry(real: int, made: int, label: int) -> tuple[float, int, int]:
    """Return an entry of the queue, in which the class that comes next is the smallest."""
    return -real / (2 * made + 1), label, made


def index_within_classes(labels: Sequence[int]) -> list[int]:
    """Return the position of each image among those of its class: 0, 1, 2, and so on."""
    made: dict[int, int] = {}
    indices = []
    for label in labels:
        indices.append(made.get(label, 0))
        made[label] = indices[-1] + 1
    return indices
