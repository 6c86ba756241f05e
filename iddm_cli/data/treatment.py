"""Treatment: what a profile's data settings would do to the pictures of a dataset."""

import numpy as np
from numpy import ndarray

from iddm_cli.data.findings import Spread, Treatment
from iddm_cli.settings import DataSettings


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
    shape = _Shape(facts, settings)
    larger = shape.scale[shape.scale > 1] if len(facts) else np.empty(0)
    channels = learnt_channels(facts, settings)
    stored = settings.stored_size[0] * settings.stored_size[1] * channels
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
        pack_bytes=len(facts) * stored,
        batch_size=batch_size,
        steps_per_epoch=len(facts) / batch_size,
    )


class _Shape:
    """What becomes of each picture's shape.

    Attributes:
        kept: Share of the picture that stays in view.
        padding: Share of what is learnt that is padding.
        distortion: How many times one side is stretched more than the other.
        scale: By what its sides are multiplied; above 1 it is enlarged.
    """

    def __init__(self, facts: ndarray, settings: DataSettings) -> None:
        height, width = settings.stored_size
        down, across = height / _any(facts["height"]), width / _any(facts["width"])
        smaller, larger = np.minimum(down, across), np.maximum(down, across)
        whole, nothing = np.ones_like(down), np.zeros_like(down)
        crop, pad = settings.aspect == "crop", settings.aspect == "pad"
        self.kept = smaller / larger if crop else whole
        self.padding = 1 - smaller / larger if pad else nothing
        self.distortion = whole if crop or pad else larger / smaller
        self.scale = smaller if pad else larger


def _any(numbers: ndarray) -> ndarray:
    """Return the numbers, or a single 1 where there are none."""
    return numbers if len(numbers) else np.ones(1)


def _round(number: float) -> float:
    return round(float(number), 4)


def learnt_channels(facts: ndarray, settings: DataSettings) -> int:
    """Return how many channels are learnt; auto is 1 where every picture is grey."""
    if settings.channels != "auto":
        return settings.channels
    return 1 if len(facts) and facts["grey"].all() else 3


def spread(numbers: ndarray) -> Spread:
    """Return least, middle and most."""
    ordered = np.sort(numbers) if len(numbers) else np.zeros(1)
    return Spread(int(ordered[0]), int(ordered[len(ordered) // 2]), int(ordered[-1]))
