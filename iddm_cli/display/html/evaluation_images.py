"""Images of an evaluation's page: real beside generated for each class, and the closest pairs.

Which images are shown is fixed: they are evenly spread over each class. How many depends on how
large they are as files, so that the page stays small.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iddm_cli.data.inspection.thumbnails import Thumbnail, choose_evenly, encode_thumbnail
from iddm_cli.display.html.image_tags import image_attributes, levels_to_image
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.results import ClassQuality, ClosePair, Evaluation

PER_CLASS = 8
WITHOUT_CLASSES = 24
CLASSES_SHOWN = 50
PAIRS_SHOWN = 24
PROBED_ROWS = 8
PAIR_CELL = 96


@dataclass(frozen=True)
class _Row:
    """The images of one class, or of the whole sets.

    Attributes:
        name: Name of the class; "" without classes.
        real: Indices of the real images to choose from.
        generated: Indices of the generated images to choose from.
    """

    name: str
    real: list[int]
    generated: list[int]


def build_pairs(evaluation: Evaluation, budget: float) -> tuple[list[dict[str, Any]], float]:
    """Return the closest pairs as values of the template, and the bytes that they take.

    Args:
        evaluation: The evaluation.
        budget: Number of bytes that they may take about.
    """
    if evaluation.copies is None:
        return [], 0
    shown: list[dict[str, Any]] = []
    spent = 0
    for pair in evaluation.copies.closest[:PAIRS_SHOWN]:
        images = _encode_pair(evaluation, pair)
        spent += sum(len(image.content) for image in images)
        if spent > budget and shown:
            break
        shown.append(
            {
                "images": [image_attributes(image, cell=PAIR_CELL) for image in images],
                "ratio": pair.ratio,
                "is_copy": pair.is_copy,
            }
        )
    return shown, spent


def _encode_pair(evaluation: Evaluation, pair: ClosePair) -> list[Thumbnail]:
    return [
        _encode(evaluation.generated, pair.generated, "generated image"),
        _encode(evaluation.training, pair.training, "training image"),
    ]


def build_examples(evaluation: Evaluation, budget: float) -> dict[str, Any]:
    """Return real and generated images of each class as values of the template.

    Args:
        evaluation: The evaluation.
        budget: Number of bytes that they may take about.
    """
    rows = _list_rows(evaluation)
    most = PER_CLASS if rows[0].name else WITHOUT_CLASSES
    chosen, by_worst = _choose_rows(rows, evaluation.quality.classes)
    probed = choose_evenly(chosen, PROBED_ROWS)
    costs = [len(image.content) for row in probed for image in _encode_row(evaluation, row, 1)]
    each_cost = 2 * sum(costs) / max(1, len(costs))
    fitting = budget / max(1, each_cost)
    each = max(1, min(most, math.floor(fitting / max(1, len(chosen)))))
    shown = chosen[: max(1, math.floor(fitting))]
    return {
        "rows": [_describe_row(evaluation, row, each) for row in shown],
        "each": each,
        "by_worst": by_worst or len(shown) < len(chosen),
        "left_out": len(rows) - len(shown),
    }


def _list_rows(evaluation: Evaluation) -> list[_Row]:
    real, generated = evaluation.real, evaluation.generated
    if real.labels is None or generated.labels is None or not generated.classes:
        return [_Row("", [*range(len(real))], [*range(len(generated))])]
    groups = [_group_by_label(one, len(generated.classes)) for one in (real, generated)]
    return [_Row(*row) for row in zip(generated.classes, *groups, strict=True)]


def _group_by_label(images: ImageSet, count: int) -> list[list[int]]:
    groups: list[list[int]] = [[] for _ in range(count)]
    assert images.labels is not None, "the set has classes"
    for index, label in enumerate(images.labels.tolist()):
        if 0 <= label < count:
            groups[label].append(index)
    return groups


def _choose_rows(rows: list[_Row], qualities: Sequence[ClassQuality]) -> tuple[list[_Row], bool]:
    """Return the rows to show, and whether they are the worst ones instead of all."""
    if len(rows) <= CLASSES_SHOWN:
        return rows, False
    order = {one.name: place for place, one in enumerate(rank_worst(qualities))}
    ranked = sorted(rows, key=lambda row: order.get(row.name, len(order)))
    return ranked[:CLASSES_SHOWN], True


def rank_worst(qualities: Sequence[ClassQuality]) -> list[ClassQuality]:
    """Return classes by their first distance, the worst first; those without it come last."""

    def worst_first(one: ClassQuality) -> float:
        number = next((one.numbers[k] for k in ("mind", "frechet") if k in one.numbers), None)
        known = number is not None and math.isfinite(number.value)
        return -number.value if known and number is not None else math.inf

    return sorted(qualities, key=worst_first)


def _describe_row(evaluation: Evaluation, row: _Row, each: int) -> dict[str, Any]:
    images = _encode_row(evaluation, row, each)
    real = min(each, len(row.real))
    return {
        "name": row.name,
        "real_count": len(row.real),
        "generated_count": len(row.generated),
        "real": [image_attributes(image) for image in images[:real]],
        "generated": [image_attributes(image) for image in images[real:]],
    }


def _encode_row(evaluation: Evaluation, row: _Row, each: int) -> list[Thumbnail]:
    real = [_encode(evaluation.real, i, "real") for i in choose_evenly(row.real, each)]
    chosen = choose_evenly(row.generated, each)
    return real + [_encode(evaluation.generated, i, "generated") for i in chosen]


def _encode(images: ImageSet, index: int, word: str) -> Thumbnail:
    name = f"{word} {images.names[index]}" if images.names else f"{word} {index}"
    return encode_thumbnail(name, levels_to_image(images.pixels[index].numpy()))
