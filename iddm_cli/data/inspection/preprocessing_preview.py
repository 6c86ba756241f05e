"""Preview of preprocessing: how a profile's data settings would change the images of a dataset."""

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.decoding.resize_stats import ResizeStats, min_median_max
from iddm_cli.data.inspection.report_data import PreprocessingPreview, Spread
from iddm_cli.data.packs.crops import plan_tiles
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
    fitted = settings.stored_size
    sizes = np.stack([widths, heights], axis=1).tolist() if some else []
    if spec.is_cropped:  # each image keeps its shape
        widths, heights = np.full_like(widths, fitted[1]), np.full_like(heights, fitted[0])
    shapes = ResizeStats(widths, heights, fitted, settings.aspect)
    crops = _count_tiles(spec, sizes)
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
        pack_bytes=sum(spec.count_stored_bytes(*size) for size in sizes),
        batch_size=batch_size,
        steps_per_epoch=training / batch_size * (crops / max(1, len(stats)) if crops else 1),
        crops=crops,
    )


def _count_tiles(spec: PixelSpec, sizes: list[tuple[int, int]]) -> int:
    """Return how many crops fit beside each other into images of these sizes; 0: none are taken."""
    if not spec.is_cropped:
        return 0
    stored = [spec.find_stored_size(*size) for size in sizes]
    return sum(len(plan_tiles(np.array(size), spec.size)) for size in stored)


def _round(number: float) -> float:
    return round(float(number), 4)


def compute_spread(numbers: ndarray) -> Spread:
    """Return minimum, median and maximum; all 0 without numbers."""
    return Spread(*min_median_max(numbers)) if len(numbers) else Spread(0, 0, 0)
