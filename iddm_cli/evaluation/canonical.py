"""Canonical numbers: FID and its kin in the features of Inception, by torch-fidelity, for papers.

torch-fidelity (Obukhov et al. 2020, doi:10.5281/zenodo.4957738) computes them as the original
programs do, from the resizing of TensorFlow 1 to the weights.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.errors import IddmError
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.inception_weights import load_inception_weights
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import CanonicalNumbers
from iddm_cli.extras import require_extra

FEWEST_IMAGES = 10
"""Images of each set, at least: the Inception Score is the mean over ten parts."""

ENOUGH_IMAGES = 10_000
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
BATCH_SIZE = 32
PRECISION_BATCH = 1000
"""Images whose distances to all others are in memory at once."""


def measure_canonical(
    real: ImageSet,
    generated: ImageSet,
    *,
    weights: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> CanonicalNumbers:
    """Measure FID, KID, Inception Score, precision and recall in the features of Inception.

    Args:
        real: The real images, of 1 or 3 channels.
        generated: The generated images, alike.
        weights: File of the weights; None for torch-fidelity's own, downloaded if need be.
        progress: Called after every image.

    Raises:
        IddmError: The numbers cannot be measured, in one sentence.
    """
    require_extra("evaluate", ("torch_fidelity",), needed_by="FID of Inception features")
    _check_images(real, generated)
    loaded = load_inception_weights(weights)
    from torch_fidelity import calculate_metrics

    fewest = min(len(real), len(generated))
    subset = min(KID_SUBSET_SIZE, fewest)
    same_subsets = len(real) == len(generated) == subset
    found = calculate_metrics(
        input1=_RGBImages(generated, progress),
        input2=_RGBImages(real, progress),
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=loaded.to_file(),
        kid_subsets=1 if same_subsets else KID_SUBSETS,
        kid_subset_size=subset,
        prc_batch_size=PRECISION_BATCH,
        batch_size=BATCH_SIZE,
        cuda=torch.cuda.is_available(),
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    names = {
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "inception_score": "inception_score_mean",
        "precision": "precision",
        "recall": "recall",
    }
    return CanonicalNumbers(
        {key: Number(found[name], count=fewest) for key, name in names.items()},
        f"{len(generated):,} generated and {len(real):,} real images, resized to 299 × 299",
    )


def _check_images(real: ImageSet, generated: ImageSet) -> None:
    for images in (real, generated):
        channels = images.pixels.shape[1]
        if channels not in (1, 3):
            raise IddmError(
                f"FID needs grey or RGB images, and {images.name} has {channels} channels"
            )
        if len(images) < FEWEST_IMAGES:
            raise IddmError(
                f"FID needs at least {FEWEST_IMAGES} images, and {images.name} has {len(images)}"
            )


class _RGBImages(Dataset[Tensor]):
    """The images of a set as torch-fidelity reads them: uint8, [3, H, W]."""

    def __init__(self, images: ImageSet, progress: ProgressCallback) -> None:
        self.images = images
        self.progress = progress

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        self.progress(f"Inception features of {self.images.name}", index, len(self))
        pixels = self.images.pixels[index]
        if pixels.dtype == torch.uint16:
            pixels = (pixels.to(torch.int32) / 257).round().to(torch.uint8)
        return pixels.expand(3, -1, -1)
