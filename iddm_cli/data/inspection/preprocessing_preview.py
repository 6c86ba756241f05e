"""Preview of preprocessing: how a profile's data settings would change the images of a dataset."""

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.decoding.resize_stats import ResizeStats, min_median_max
from iddm_cli.data.inspection.report_data import PreprocessingPreview, Spread
from iddm_cli.profiles.settings import DataSettings


def preview_preprocessing(
    stats: ndarray,
    settings: DataSettings,
    spec: PixelSpec,
    *,
    profile: str = "",
    batch_size: int,
    training: int,
) -> PreprocessingPreview:
    """Return how the settings would preprocess the images.

    Args:
        stats: STATS_DTYPE of each image, [N].
        settings: The profile's data section.
        spec: The pixels that training stores.
        profile: The profile's name.
        batch_size: Images of one training step.
        training: Number of images that are not held out.
    """
    height, width = settings.size
    some = len(stats) > 0
    widths, heights = (stats["width"], stats["height"]) if some else (np.ones(1), np.ones(1))
    shapes = ResizeStats(widths, heights, settings.stored_size, settings.aspect)
    enlarged = shapes.scale[shapes.scale > 1] if some else np.empty(0)
    return PreprocessingPreview(
        profile=profile,
        height=height,
        width=width,
        aspect=settings.aspect,
        kept=_round(shapes.kept.mean()),
        kept_least=_round(shapes.kept.min()),
        padding=_round(shapes.padding.mean()),
        padding_most=_round(shapes.padding.max()),
        distortion=_round(shapes.distortion.mean()),
        distortion_most=_round(shapes.distortion.max()),
        enlarged=len(enlarged),
        enlarged_by=_round(np.median(enlarged)) if enlarged.size else 1.0,
        channels=spec.channels,
        pack_bytes=len(stats) * spec.image_bytes,
        batch_size=batch_size,
        steps_per_epoch=training / batch_size,
    )


def _round(number: float) -> float:
    return round(float(number), 4)


def compute_spread(numbers: ndarray) -> Spread:
    """Return minimum, median and maximum; all 0 without numbers."""
    return Spread(*min_median_max(numbers)) if len(numbers) else Spread(0, 0, 0)
