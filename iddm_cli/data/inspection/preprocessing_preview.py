"""Treatment: what a profile's data settings would do to the pictures of a dataset."""

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.preprocess import Channels, PixelSpec
from iddm_cli.data.decoding.resize_stats import ResizeStats, min_median_max
from iddm_cli.data.inspection.report_data import Spread, Treatment
from iddm_cli.profiles.settings import DataSettings


def treat(
    facts: ndarray, settings: DataSettings, *, profile: str = "", batch_size: int
) -> Treatment:
    """Say what the settings would do.

    Args:
        facts: FACTS of each picture.
        settings: The profile's data section.
        profile: What the profile is called.
        batch_size: Pictures in one update.
    """
    height, width = settings.size
    some = len(facts) > 0
    widths, heights = (facts["width"], facts["height"]) if some else (np.ones(1), np.ones(1))
    shape = ResizeStats(widths, heights, settings.stored_size, settings.aspect)
    larger = shape.scale[shape.scale > 1] if some else np.empty(0)
    channels = learnt_channels(facts, settings)
    return Treatment(
        profile=profile,
        height=height,
        width=width,
        aspect=settings.aspect,
        kept=_round(shape.kept.mean()),
        kept_least=_round(shape.kept.min()),
        padding=_round(shape.padding.mean()),
        padding_most=_round(shape.padding.max()),
        distortion=_round(shape.distortion.mean()),
        distortion_most=_round(shape.distortion.max()),
        enlarged=len(larger),
        enlarged_by=_round(np.median(larger)) if larger.size else 1.0,
        channels=channels,
        pack_bytes=len(facts) * PixelSpec.from_settings(settings, channels).image_bytes,
        batch_size=batch_size,
        steps_per_epoch=len(facts) / batch_size,
    )


def _round(number: float) -> float:
    return round(float(number), 4)


def learnt_channels(facts: ndarray, settings: DataSettings) -> Channels:
    """Return how many channels are learnt; auto is 1 where every picture is grey."""
    if settings.channels != "auto":
        return settings.channels
    return 1 if len(facts) and facts["grey"].all() else 3


def spread(numbers: ndarray) -> Spread:
    """Return least, middle and most."""
    return Spread(*min_median_max(numbers)) if len(numbers) else Spread(0, 0, 0)
