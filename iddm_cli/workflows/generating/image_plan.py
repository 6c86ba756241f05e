"""The images to generate, in order: the class, the index and the noise of each, and its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iddm_cli.engine.image_generator import SampleSpec


@dataclass(frozen=True)
class PlannedImage:
    """One image to generate.

    Attributes:
        spec: Its class, index and noise.
        stem: The beginning of its file's name; "" for that of its class.
        notes: What changes this image alone, for its metadata.
    """

    spec: "SampleSpec"
    stem: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


def plan_images(
    labels: Sequence[int], indices: Sequence[int], *, own_noise: bool
) -> list[PlannedImage]:
    """Return the images of these indices for each label.

    Args:
        labels: The classes.
        indices: The indices, the same for each class.
        own_noise: Whether each class has its own noise.
    """
    return [PlannedImage(_specify(label, i, own_noise)) for label in labels for i in indices]


def _specify(label: int, index: int, own_noise: bool) -> "SampleSpec":
    from iddm_cli.engine.image_generator import SampleSpec, specify_with_own_noise

    return specify_with_own_noise(label, index) if own_noise else SampleSpec(label, index)
