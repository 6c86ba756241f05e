"""The images to generate, in order: the class, the index and the noise of each, and its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from iddm_cli.workflows.generating.number_lists import Interpolation
from iddm_cli.workflows.generating.output.file_names import source_stem

if TYPE_CHECKING:
    from iddm_cli.engine.image_generator import SampleSpec


@dataclass(frozen=True)
class PlannedImage:
    """One image to generate.

    Attributes:
        spec: Its class, index and noise, and the image that it starts from.
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


def plan_interpolation(
    labels: Sequence[int], path: Interpolation, *, own_noise: bool
) -> list[PlannedImage]:
    """Return the images on a path between two of each label; their indices are 0 to count - 1."""
    from iddm_cli.engine.image_generator import SampleSpec
    from iddm_cli.engine.sampling.sample_noise import NoisePath, own_noise_index

    images: list[PlannedImage] = []
    for label in labels:
        start, end = (
            own_noise_index(label, index) if own_noise else index
            for index in (path.start, path.end)
        )
        images += [
            PlannedImage(SampleSpec(label, index, NoisePath(start, end, position)))
            for index, position in enumerate(path.positions())
        ]
    return images


def plan_variations(
    names: Sequence[str],
    labels: Sequence[Sequence[int]],
    indices: Sequence[int],
    *,
    own_noise: bool,
) -> list[PlannedImage]:
    """Return the variations of each image, ordered by class.

    Indices continue from one image of a class to its next, so that no two variations start from the
    same noise: of 4 variations, those of the third image have the indices 8 to 11.

    Args:
        names: Paths of the images.
        labels: The classes of each image's variations.
        indices: Indices of the first image's variations.
        own_noise: Whether each class has its own noise.
    """
    images: list[PlannedImage] = []
    for label in sorted({label for own in labels for label in own}):
        sources = [source for source, own in enumerate(labels) if label in own]
        for place, source in enumerate(sources):
            name = names[source]
            for index in indices:
                spec = _specify(label, place * len(indices) + index, own_noise)
                spec = replace(spec, source=source)
                images.append(PlannedImage(spec, source_stem(name), {"from": name}))
    return images


def _specify(label: int, index: int, own_noise: bool) -> "SampleSpec":
    from iddm_cli.engine.image_generator import SampleSpec, specify_with_own_noise

    return specify_with_own_noise(label, index) if own_noise else SampleSpec(label, index)
