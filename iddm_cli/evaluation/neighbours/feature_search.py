"""Feature search: the nearest training image in the features of a network."""

import torch
from torch import Tensor

from iddm_cli.evaluation.neighbours.nearest_images import (
    CANDIDATES,
    LARGEST_BATCH,
    PAIRS_IN_MEMORY,
    NearestImages,
    pick_nearest,
)

ALONE = 0.0
"""Features have no scale of their own: with a single training image, none can be called near."""


class FeatureSearch:
    """Finds the nearest training images by their features.

    Args:
        features: Features of the training images, float [M, D].
        originals: Indices of the training images without exact repetitions, int64 [K].
    """

    def __init__(self, features: Tensor, originals: Tensor) -> None:
        self.originals = originals
        self._features = features[originals]

    def find_nearest(self, variants: Tensor) -> NearestImages:
        """Return the nearest training image of each image.

        Args:
            variants: Features of each image, and of its mirror image, float [N, V, D]; the nearest
                of them counts.
        """
        pairs = variants.shape[1] * len(self.originals)
        batch = max(1, min(LARGEST_BATCH, PAIRS_IN_MEMORY // pairs))
        starts = range(0, len(variants), batch)
        return NearestImages.join([self._compare(variants[i : i + batch]) for i in starts])

    def _compare(self, variants: Tensor) -> NearestImages:
        # The fast formula of cdist rounds too much for distances near zero, so it only selects.
        rough = torch.cdist(variants.flatten(0, 1), self._features)
        rough = rough.unflatten(0, variants.shape[:2]).amin(dim=1)
        candidates = rough.topk(min(CANDIDATES, len(self.originals)), largest=False).indices
        vectors = self._features[candidates]
        distances = (variants[:, :, None] - vectors[:, None]).norm(dim=3).amin(dim=1)
        chosen = vectors[torch.arange(len(vectors)), distances.argmin(dim=1)]
        between = (chosen[:, None] - vectors).norm(dim=2)
        return pick_nearest(self.originals[candidates], distances, between, alone=ALONE)
