"""Warnings about the real images of an evaluation, as sentences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iddm_cli.workflows.training.attach_dataset import describe_difference

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.profiles.profile import Profile
    from iddm_cli.value_range import ValueRange
    from iddm_cli.workflows.evaluating.image_probes import ImageProbe
    from iddm_cli.workflows.models import ModelSource


def warn_of_part(images: "ImageSet", count: int) -> Sequence[str]:
    """Return a warning where only a part of some images is used."""
    if len(images) >= count:
        return ()
    return (f"of {count:,} images, {len(images):,} are used: {images.name}",)


def warn_of_changes(model: "ModelSource", pack: "Pack") -> Sequence[str]:
    """Return a warning where the images of a run are not those that it was trained on."""
    from iddm_cli.workflows.models import RunModel

    assert isinstance(model, RunModel), "an exported file has no images"
    recorded = model.run.read_json("dataset.json")
    cropped = model.load_profile([]).data.random_crop < 1  # whose pixels are of another size
    changed = "digest" in recorded and recorded["digest"] != pack.digest
    if cropped:
        counts = dict(zip(pack.classes, pack.class_counts(), strict=True))
        changed = recorded.get("count") != pack.count or recorded.get("classes") != counts
    if not changed:
        return ()
    difference = describe_difference(recorded, pack)
    return (f"the images have changed since run {model.name} was trained: {difference}",)


def warn_of_augmentation(profile: "Profile") -> Sequence[str]:
    """Return a warning where a run was trained on images that look different."""
    data = profile.data
    made = ["random crops"] * (data.random_crop < 1) + ["random rotations"] * (data.rotation > 0)
    if not made:
        return ()
    return (f"the run was trained on {' and '.join(made)}, which the real images do not show",)


def warn_of_values(probe: "ImageProbe", values: "ValueRange", name: str) -> Sequence[str]:
    """Return a warning where images hold values of another type than the range is of.

    Args:
        probe: What the images are.
        values: The range of values that they are compared in.
        name: What messages call the images.
    """
    both_float = probe.dtype.startswith("float") and values.dtype.startswith("float")
    if probe.dtype == values.dtype or both_float:
        return ()
    return (
        f"the values of {name} are {probe.dtype}, those that they are compared with "
        f"{values.dtype}: what is white in one may be nearly black in the other",
    )


def warn_of_overlap(real: "ImageSet", training: "ImageSet") -> Sequence[str]:
    """Return a warning where images that are compared with were trained on."""
    from iddm_cli.build.image_sets import digest_images

    known = set(digest_images(training))
    count = sum(digest in known for digest in digest_images(real))
    if not count:
        return ()
    return (f"{count:,} of the {len(real):,} images of {real.name} are training images of the run",)
