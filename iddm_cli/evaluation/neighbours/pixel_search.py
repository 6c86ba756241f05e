"""Pixel search: the nearest training image by its pixels, also mirrored, shifted or brightened.

A comparison of a few blocks of pixels selects the candidates; only these are compared exactly. So
memory and time grow with the number of images, and not with the number of pairs of them.
"""

import hashlib

import torch
from torch import Tensor

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.neighbours.nearest_images import (
    CANDIDATES,
    LARGEST_BATCH,
    PAIRS_IN_MEMORY,
    NearestImages,
    pick_nearest,
)
from iddm_cli.evaluation.neighbours.reduced_images import ReducedImages, reduce_images
from iddm_cli.evaluation.neighbours.windows import (
    coarse_variants,
    coarse_vectors,
    contrast,
    middle_window,
    shifted_distances,
    window_norms,
)

FLAT = 0.05
"""An image of less than this share of the training images' contrast shows nothing to copy."""

UNRELATED = 2**0.5
"""The distance of normalized images that have nothing in common."""

INDEXING_CHUNK = 1024
MAX_VARIANTS = 50
"""Images that one image is compared as: 25 shifts, also mirrored."""


class PixelSearch:
    """Finds the nearest training images by pixels.

    Args:
        training: The training images, at least one.
        progress: Called while they are read.

    Attributes:
        originals: Indices of the training images without exact repetitions, int64 [M].
        flat: Standard deviation of the pixels below which an image shows nothing.
    """

    def __init__(self, training: ImageSet, progress: ProgressCallback = no_progress) -> None:
        self._images = ReducedImages(training)
        self.originals, self.flat = _survey(self._images, progress)
        coarse, norms = [], []
        for chunk in self.originals.split(INDEXING_CHUNK):
            reduced = self._images.read(chunk)
            coarse.append(coarse_vectors(reduced, flat=self.flat))
            norms.append(window_norms(reduced, flat=self.flat))
        self._coarse, self._norms = torch.cat(coarse), torch.cat(norms)

    def find_nearest(
        self, images: ImageSet, progress: ProgressCallback = no_progress
    ) -> NearestImages:
        """Return the nearest training image of each image; flat images have a ratio of 1."""
        pairs = MAX_VARIANTS * len(self.originals)
        batch = max(1, min(LARGEST_BATCH, PAIRS_IN_MEMORY // pairs))
        stage = f"comparing the pixels of {images.name} with the training images"
        parts = []
        for start in range(0, len(images), batch):
            index = torch.arange(start, min(start + batch, len(images)))
            parts.append(self._compare(reduce_images(images.select(index))))
            progress(stage, start + len(index), len(images))
        return NearestImages.join(parts).without(self.is_flat(images))

    def is_flat(self, images: ImageSet) -> Tensor:
        """Return whether each image shows nothing that could be copied, bool [N]."""
        parts = [
            contrast(middle_window(reduce_images(images.select(index)))) <= self.flat
            for index in torch.arange(len(images)).split(INDEXING_CHUNK)
        ]
        return torch.cat(parts)

    def _compare(self, images: Tensor) -> NearestImages:
        """Return the nearest training image of each reduced image."""
        candidates = self._select_candidates(images)
        unique, place = candidates.unique(return_inverse=True)
        reduced = self._images.read(self.originals[unique])[place]
        norms = self._norms[candidates]
        distances = shifted_distances(images, reduced, norms, flat=self.flat)
        chosen = reduced[torch.arange(len(images)), distances.argmin(dim=1)]
        between = shifted_distances(chosen, reduced, norms, flat=self.flat)
        return pick_nearest(self.originals[candidates], distances, between, alone=UNRELATED)

    def _select_candidates(self, images: Tensor) -> Tensor:
        """Return the training images most alike in a few blocks of pixels, [N, K]."""
        variants = coarse_variants(images, flat=self.flat)
        products = (variants.flatten(0, 1) @ self._coarse.T).unflatten(0, variants.shape[:2])
        count = min(CANDIDATES, len(self.originals))
        return products.amax(dim=1).topk(count).indices


def _survey(images: ReducedImages, progress: ProgressCallback) -> tuple[Tensor, float]:
    """Return the indices of the images without repetitions, and what contrast counts as flat."""
    first: dict[bytes, int] = {}
    contrasts = []
    for start in range(0, len(images), INDEXING_CHUNK):
        index = torch.arange(start, min(start + INDEXING_CHUNK, len(images)))
        reduced = images.read(index)
        contrasts.append(contrast(middle_window(reduced)))
        for number, image in zip(index.tolist(), reduced.numpy(), strict=True):
            first.setdefault(hashlib.blake2b(image.tobytes()).digest(), number)
        progress("reading the training images", start + len(index), len(images))
    typical = float(torch.cat(contrasts).square().mean().sqrt())
    return torch.tensor(list(first.values())), FLAT * typical
