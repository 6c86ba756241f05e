"""Filter: which generated images are worth training on."""

import torch
from torch import Tensor

from iddm_cli.evaluation.features.extractor import FeatureExtractor
from iddm_cli.evaluation.image_set import ImageSet

DISAGREES = "predicted class disagrees"
COPY = "near copy of a training image"


def filter_generated(
    generated: ImageSet, extractor: FeatureExtractor, is_copy: Tensor | None
) -> tuple[Tensor, dict[str, int]]:
    """Choose the generated images that show their class and are not copies.

    Args:
        generated: The generated images.
        extractor: Predicts the class of an image; not asked if the images have no classes.
        is_copy: Whether each generated image is a copy, bool [N]; None if that is unknown.

    Returns:
        Whether each image is kept, bool [N], and the number of images left out by reason; a copy
        of which the class disagrees counts as a copy.
    """
    kept = torch.ones(len(generated), dtype=torch.bool)
    left_out: dict[str, int] = {}
    if is_copy is not None:
        kept &= ~is_copy
        left_out[COPY] = int(is_copy.sum())
    if generated.has_classes:
        agrees = extractor.predict(generated) == generated.labels
        left_out[DISAGREES] = int((kept & ~agrees).sum())
        kept &= agrees
    return kept, left_out
