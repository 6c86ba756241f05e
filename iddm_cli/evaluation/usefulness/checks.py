"""Checks: whether usefulness can be measured on some images."""

import math
from collections.abc import Sequence

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.evaluation.image_set import ImageSet


def check_settings(*, real_per_class: int | None, seeds: int, ratios: Sequence[float]) -> None:
    """Check that the settings are in range.

    Raises:
        UsageError: One is not.
    """
    if real_per_class is not None and real_per_class < 1:
        raise UsageError(
            f"usefulness needs at least one real image of each class, not {real_per_class}",
            "Give a larger number of real images, or none for all of them.",
        )
    if seeds < 2:
        raise UsageError(
            f"usefulness needs at least two seeds, not {seeds}",
            "One classifier does not show how far another would differ.",
        )
    if not ratios or not all(0 < ratio < math.inf for ratio in ratios):
        raise UsageError(
            f"ratios of generated to real images must be above 0, not {list(ratios)}",
            "Give numbers such as 0.25, 0.5, 1 and 2.",
        )


def check_images(training: ImageSet, held_out: ImageSet, generated: ImageSet) -> None:
    """Check that there are images of at least two classes to train on and to test on.

    Raises:
        DatasetError: There are not, or the sets do not go together.
    """
    if not training.has_classes:
        count = "one" if training.classes else "none"
        raise DatasetError(
            f"usefulness needs at least two classes, and {training.name} has {count}",
            "Give a dataset with a folder for each class, or leave out --usefulness.",
        )
    for images in (held_out, generated):
        _check_alike(images, training)
    for images in (training, held_out):
        if _count_classes(images) < 2:
            raise DatasetError(
                f"usefulness needs images of at least two classes, and {images.name} has "
                f"{len(images)} images of {_count_classes(images)}",
                "Hold out more images (data.held_out), or leave out --usefulness.",
            )
    shared = _classes_of(generated) & _classes_of(training)
    if not shared:
        raise DatasetError(
            f"usefulness needs generated images, and {generated.name} has none of a class that "
            "has real ones to train on",
            "Generate images of each class, or leave out --filter.",
        )
    if len(_classes_of(held_out) & _classes_of(training)) < 2:
        raise DatasetError(
            f"{held_out.name} has images of fewer than two classes of {training.name}",
            "Hold out images of each class, or leave out --usefulness.",
        )


def _check_alike(images: ImageSet, training: ImageSet) -> None:
    if images.labels is None or images.classes != training.classes:
        raise DatasetError(
            f"{images.name} and {training.name} do not have the same classes",
            "Give images in folders of the same names, or leave out --usefulness.",
        )
    if images.pixels.shape[1:] != training.pixels.shape[1:]:
        shapes = [" × ".join(map(str, one.pixels.shape[1:])) for one in (images, training)]
        raise DatasetError(
            f"images of {images.name} are {shapes[0]}, those of {training.name} {shapes[1]}",
            "Compare images of one size and number of channels.",
        )


def _classes_of(images: ImageSet) -> set[int]:
    return set() if images.labels is None else set(images.labels.unique().tolist())


def _count_classes(images: ImageSet) -> int:
    return len(_classes_of(images))
