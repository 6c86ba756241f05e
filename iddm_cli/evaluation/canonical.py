"""Canonical numbers: FID and its kin in the features of Inception, as papers report them.

torch-fidelity (Obukhov et al. 2020, doi:10.5281/zenodo.4957738) computes them like the original
programs, from the resizing of TensorFlow 1 to the converted weights.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.errors import DatasetError, IddmError, first_line
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.inception_weights import InceptionWeights, load_inception_weights
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import CanonicalNumbers
from iddm_cli.extras import require_extra

NAMES = {
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance_mean",
    "inception_score": "inception_score_mean",
    "precision": "precision",
    "recall": "recall",
}
"""The numbers, and what torch-fidelity calls them."""

LAYERS = {
    "feature_layer_isc": "logits_unbiased",
    "feature_layer_fid": "2048",
    "feature_layer_kid": "2048",
    "feature_layer_prc": "2048",
}
"""The layer of Inception that each number uses."""

FEWEST_IMAGES = 10
"""Images of each set, at least: the Inception Score is the mean over ten parts."""

ENOUGH_IMAGES = 10_000
"""Below this, FID depends as much on the number of images as on what they show."""

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

    Precision and recall use the same features; Kynkäänniemi et al. 2019 used those of VGG-16.

    Args:
        real: The real images, of 1 or 3 channels.
        generated: The generated images, likewise.
        weights: File of the weights; None for those that torch-fidelity publishes, which are
            downloaded once.
        progress: Called after every image.

    Raises:
        UsageError: torch-fidelity is not installed.
        DatasetError: The images are too few, or have other channels.
        IddmError: The weights cannot be had, or give no numbers.
    """
    require_extra("evaluate", ("torch_fidelity",), needed_by="FID in the features of Inception")
    for images in (real, generated):
        _check_images(images)
    loaded = load_inception_weights(weights)
    found = _calculate(real, generated, loaded, progress)
    count = min(len(real), len(generated))
    return CanonicalNumbers(
        {key: Number(found[name], count=count) for key, name in NAMES.items()},
        _describe(real, generated),
        _warn(real, generated, loaded),
    )


def _check_images(images: ImageSet) -> None:
    channels = images.pixels.shape[1]
    if channels not in (1, 3):
        raise DatasetError(
            f"FID needs images of 1 or 3 channels, and these have {channels}: {images.name}",
            "Set data.channels to 1 or 3, or leave out the numbers of Inception.",
        )
    if len(images) < FEWEST_IMAGES:
        raise DatasetError(
            f"FID needs at least {FEWEST_IMAGES} images, and these are {len(images)}: "
            + images.name,
            f"Generate or collect more images; below {ENOUGH_IMAGES:,} they say little.",
        )


def _calculate(
    real: ImageSet, generated: ImageSet, weights: InceptionWeights, progress: ProgressCallback
) -> Mapping[str, float]:
    """Return what torch-fidelity finds, by its own names.

    Raises:
        IddmError: The features are not finite, which those of other weights may be.
    """
    from torch_fidelity import calculate_metrics

    subset, subsets = _kid_subsets(real, generated)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Mapping[str, float] = calculate_metrics(
                input1=_RGBImages(generated, progress),
                input2=_RGBImages(real, progress),
                isc=True,
                fid=True,
                kid=True,
                prc=True,
                **LAYERS,
                feature_extractor="inception-v3-compat",
                feature_extractor_weights_path=weights.to_file(),
                kid_subsets=subsets,
                kid_subset_size=subset,
                prc_batch_size=PRECISION_BATCH,
                batch_size=BATCH_SIZE,
                cuda=torch.cuda.is_available(),
                cache=False,
                save_cpu_ram=True,  # no processes that load, and distances in parts
                verbose=False,
            )
    except (ArithmeticError, ValueError, RuntimeError) as error:
        raise IddmError(
            f"torch-fidelity cannot compute FID: {first_line(error)}",
            "Use the weights that torch-fidelity publishes, or leave out the numbers of Inception.",
        ) from error
    return found


def _kid_subsets(real: ImageSet, generated: ImageSet) -> tuple[int, int]:
    """Return the size of the subsets of KID, and their number: 1 if each holds all images."""
    size = min(KID_SUBSET_SIZE, len(real), len(generated))
    return size, 1 if size == len(real) == len(generated) else KID_SUBSETS


def _describe(real: ImageSet, generated: ImageSet) -> str:
    height, width = generated.pixels.shape[2:]
    size, subsets = _kid_subsets(real, generated)
    pieces = [
        f"{len(generated):,} generated and {len(real):,} real images",
        f"resized from {width} × {height} to 299 × 299 as in TensorFlow 1",
    ]
    if generated.pixels.shape[1] == 1:
        pieces.append("grey repeated as red, green and blue")
    if generated.pixels.dtype == torch.uint16:
        pieces.append("16 bits reduced to 8")
    pieces.append(f"KID over {subsets} subset{'s' * (subsets > 1)} of {size:,}")
    return ", ".join(pieces)


def _warn(real: ImageSet, generated: ImageSet, weights: InceptionWeights) -> tuple[str, ...]:
    warned = []
    count = min(len(real), len(generated))
    if count < ENOUGH_IMAGES:
        warned.append(
            f"FID of {count:,} images is too high, the more so the fewer they are: compare it only "
            f"with FID of as many images, and report it from {ENOUGH_IMAGES:,} on."
        )
    if not weights.is_original:
        warned.append(
            "The weights differ from those that torch-fidelity publishes: these numbers cannot be "
            "compared with those of papers."
        )
    return tuple(warned)


class _RGBImages(Dataset[Tensor]):
    """The images of a set as torch-fidelity reads them: uint8, [3, H, W]."""

    def __init__(self, images: ImageSet, progress: ProgressCallback) -> None:
        self.images = images
        self.progress = progress
        self.stage = f"Inception features of {images.name}"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        if index:  # torch-fidelity looks at the first one before it begins
            self.progress(self.stage, index + 1, len(self))
        pixels = self.images.pixels[index]
        if pixels.dtype == torch.uint16:
            pixels = (pixels.to(torch.int32) / 257).round().to(torch.uint8)
        return pixels.expand(3, -1, -1)
