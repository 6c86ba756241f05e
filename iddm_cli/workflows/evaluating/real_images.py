"""The real images of an evaluation: those compared with, and those that were trained on."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iddm_cli.errors import DatasetError
from iddm_cli.workflows.evaluating.class_matching import list_names, match_classes
from iddm_cli.workflows.evaluating.image_probes import probe_images
from iddm_cli.workflows.evaluating.image_warnings import (
    warn_of_augmentation,
    warn_of_changes,
    warn_of_overlap,
    warn_of_part,
    warn_of_values,
)
from iddm_cli.workflows.training.attach_dataset import align_classes, has_dataset

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.profiles.profile import Profile, ResolvedProfile
    from iddm_cli.value_range import ValueRange
    from iddm_cli.workflows.models import ModelSource

ENOUGH_REAL = 1000
FEWEST_IMAGES = 10
AGAINST_HINT = "Name real images to compare with: iddm evaluate {} --against DATASET"


@dataclass(frozen=True)
class RealImages:
    """The real images of an evaluation, all with the same classes.

    Attributes:
        real: Those that generated images are compared with.
        training: Those that the feature network is trained on.
        model_training: Those that copies are looked for among: what the model was trained on.
        profile: How images are preprocessed to be compared with them.
        values: The range of values that their levels stand for.
        unseen: Whether the model was not trained on `real`.
        warnings: What to know of them, as sentences.
        labelled: The images of `real` with their classes, where they are compared without.
    """

    real: "ImageSet"
    training: "ImageSet"
    model_training: "ImageSet"
    profile: "ResolvedProfile"
    values: "ValueRange"
    unseen: bool = True
    warnings: tuple[str, ...] = field(default=())
    labelled: "ImageSet | None" = None

    @property
    def network_test(self) -> "ImageSet":
        """The images that the feature network is tested on, with their classes if it knows them."""
        labelled = self.labelled
        is_known = labelled is not None and labelled.classes == self.training.classes
        return labelled if labelled is not None and is_known else self.real

    def class_counts(self) -> list[int]:
        """Return the number of real images of each class; of all images where there are none."""
        labels = self.real.labels
        if labels is None:
            return [len(self.real)]
        count = max(1, len(self.real.classes))
        found: list[int] = labels.bincount(minlength=count).tolist()
        return found

    def without_classes(self, warning: str) -> "RealImages":
        """Return the images to be compared without classes, with the reason as a warning."""
        real = replace(self.real, labels=None, classes=())
        warnings = (*self.warnings, warning)
        return replace(self, real=real, labelled=self.real, warnings=warnings)


def load_run_images(model: "ModelSource", progress: "ProgressCallback") -> RealImages:
    """Return the held-out images of a run, and its training images.

    Args:
        model: The run.
        progress: Called while images are read.

    Raises:
        DatasetError: They are unknown or missing, or too few.
    """
    from iddm_cli.build import image_sets

    profile, pack = open_run_dataset(model, progress)
    warnings = [*warn_of_changes(model, pack), *warn_of_augmentation(model.load_profile([]))]
    images = image_sets.load_run_images(profile, pack, run_name=model.name, progress=progress)
    warnings += warn_of_part(images.model_training, pack.count)
    if pack.held_out is not None:
        warnings += warn_of_part(images.real, pack.held_out.count)
    else:
        warnings.append(
            f"run {model.name} has no held-out images: its training images are compared with, "
            "which hides that a model only repeats them (--against DATASET compares with others)"
        )
    sets = (images.real, images.training, images.model_training)
    warned = tuple(warnings)
    found = RealImages(*sets, profile, pack.values, unseen=images.unseen, warnings=warned)
    _check_enough(found)
    return found


def open_run_dataset(
    model: "ModelSource", progress: "ProgressCallback"
) -> "tuple[ResolvedProfile, Pack]":
    """Return the dataset that a run was trained on, without random crops.

    Raises:
        DatasetError: It is unknown or missing.
    """
    from iddm_cli.workflows.models import RunModel

    hint = AGAINST_HINT.format(model.reference)
    if not isinstance(model, RunModel):
        raise DatasetError(f"{model.reference} does not hold its training images", hint)
    if not has_dataset(model.run):
        raise DatasetError(
            f"run {model.name} was imported, so its training images are unknown", hint
        )
    profile = model.load_profile([])
    data = profile.data.model_copy(update={"random_crop": 1.0})
    profile = profile.model_copy(update={"data": data})
    try:
        resolved, pack = _pack(profile, model.classes, model.values, progress)
        return resolved, align_classes(pack, model.classes, model.name)
    except DatasetError as error:
        raise DatasetError(
            f"the images of run {model.name} cannot be used: {error.problem}", hint
        ) from error


def load_other_images(
    model: "ModelSource", against: str, progress: "ProgressCallback"
) -> RealImages:
    """Return the images of a dataset, to compare those of a run with.

    Args:
        model: The run, or an exported file.
        against: The dataset.
        progress: Called while images are read.

    Raises:
        DatasetError: It cannot be found or read, or has too few images.
    """
    profile = _with_dataset(model.load_profile([]), against)
    resolved, packs = _open_parts(profile, model.classes, model.values, progress)
    warnings = [
        *warn_of_augmentation(model.load_profile([])),
        *warn_of_values(probe_images(against), model.values, name_dataset(against)),
    ]
    try:
        own = _read_own(model, progress, warnings)
    except DatasetError:
        own = None
        warnings.append(
            f"the training images of {model.name} are not known: copies are looked for among "
            f"images of {against}"
        )
    found = _read_parts(resolved, packs, against, own, progress, warnings)
    found = replace(found, warnings=tuple(warnings))
    _check_enough(found)
    if model.classes:
        return _name_classes(found, model.classes, against)
    return found


def load_dataset_images(
    against: str, size: int | list[int], progress: "ProgressCallback"
) -> RealImages:
    """Return the images of a dataset, to compare those of a folder with.

    Args:
        against: The dataset.
        size: Size at which they are compared: one side, or height and width.
        progress: Called while images are read.

    Raises:
        DatasetError: It cannot be found or read, or has too few images.
    """
    from iddm_cli.profiles.profile import Profile

    profile = _with_dataset(
        Profile.model_validate({"data": {"image_size": size, "aspect": "crop"}}), against
    )
    resolved, packs = _open_parts(profile, None, None, progress)
    warnings: list[str] = []
    found = _read_parts(resolved, packs, against, None, progress, warnings)
    _check_enough(found)
    return replace(found, warnings=tuple(warnings))


def _read_own(
    model: "ModelSource", progress: "ProgressCallback", warnings: list[str]
) -> "ImageSet":
    profile, pack = open_run_dataset(model, progress)
    return _read(profile, pack, f"training images of {model.name}", "training", progress, warnings)


def _open_parts(
    profile: "Profile",
    classes: tuple[str, ...] | None,
    values: "ValueRange | None",
    progress: "ProgressCallback",
) -> "tuple[ResolvedProfile, Pack]":
    """Return a dataset with its own held-out part; without one, all of its images."""
    resolved, pack = _pack(profile, classes, values, progress)
    if pack.held_out is not None and pack.held_out.part:
        return resolved, pack
    data = profile.data.model_copy(update={"held_out": 0.0})
    return _pack(profile.model_copy(update={"data": data}), classes, values, progress)


def _read_parts(
    profile: "ResolvedProfile",
    pack: "Pack",
    against: str,
    own: "ImageSet | None",
    progress: "ProgressCallback",
    warnings: list[str],
) -> RealImages:
    """Return the images compared with and those trained on, of which `own` are better."""
    from iddm_cli.build.image_sets import split_images

    dataset = name_dataset(against)
    if pack.held_out is not None:
        name = f"{pack.held_out.part} part of {dataset}"
        real = _read(profile, pack.held_out, name, "real", progress, warnings)
        rest = own or _read(
            profile, pack, f"training part of {dataset}", "training", progress, warnings
        )
        return RealImages(real, rest, rest, profile, pack.values)
    if own is not None:
        real = _read(profile, pack, dataset, "real", progress, warnings)
        warnings += warn_of_overlap(real, own)
        return RealImages(real, own, own, profile, pack.values)
    images = _read(profile, pack, dataset, "training", progress, warnings)
    rest, real = split_images(images, min(0.5, ENOUGH_REAL / len(images)))
    rest = replace(rest, name=f"other images of {dataset}")
    return RealImages(real, rest, rest, profile, pack.values)


def name_dataset(path: str) -> str:
    """Return what messages and reports call a dataset or a folder: its name without its place."""
    from iddm_cli.data.sources.indexing.listing import to_printable

    return to_printable(Path(path).name or path)


def _pack(
    profile: "Profile",
    classes: tuple[str, ...] | None,
    values: "ValueRange | None",
    progress: "ProgressCallback",
) -> "tuple[ResolvedProfile, Pack]":
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_dataset

    data = profile.data
    if classes == () and data.conditional == "auto":
        data = data.model_copy(update={"conditional": False})
    source = open_dataset(data, require_labels=False, progress=progress)
    pack = build_pack(source, data, values=values, progress=progress)
    return profile.resolve(pack.channels), pack


def _with_dataset(profile: "Profile", path: str) -> "Profile":
    """Return a profile whose dataset is another one, understood as any new dataset."""
    from iddm_cli.profiles.settings import DataSettings

    defaults = DataSettings()
    keys = ("label_column", "label_pattern", "layout", "archive_encoding", "held_out", "cache")
    changes = {key: getattr(defaults, key) for key in keys}
    changes |= {"path": path, "conditional": "auto", "random_crop": 1.0}
    return profile.model_copy(update={"data": profile.data.model_copy(update=changes)})


def _read(
    profile: "ResolvedProfile",
    pack: "Pack",
    name: str,
    role: Literal["real", "training"],
    progress: "ProgressCallback",
    warnings: list[str],
) -> "ImageSet":
    from iddm_cli.build import image_sets

    most = {"real": image_sets.MOST_REAL, "training": image_sets.MOST_TRAINING}[role]
    images = image_sets.load_image_set(profile, pack, name=name, most=most, progress=progress)
    warnings += warn_of_part(images, pack.count)
    return images


def _check_enough(found: RealImages) -> None:
    """Check that there are enough images to compare with.

    Raises:
        DatasetError: There are too few.
    """
    count = len(found.real) + (0 if found.real is found.training else len(found.training))
    if count < FEWEST_IMAGES or len(found.real) < 2:
        raise DatasetError(
            f"there are {count} real images, of which {len(found.real)} are compared with: "
            f"{found.real.name}",
            f"An evaluation needs at least {FEWEST_IMAGES} of them, and better {ENOUGH_REAL:,}.",
        )


def _name_classes(found: RealImages, classes: tuple[str, ...], against: str) -> RealImages:
    """Return the images with the labels of other classes of the same names.

    Where a class is unknown there, the images are compared without classes.
    """
    import torch

    numbers = match_classes(found.real.classes, classes)
    unknown = [name for name, i in zip(found.real.classes, numbers, strict=True) if i is None]
    if found.real.labels is None or unknown:
        reason = f" of classes {list_names(unknown)}" if unknown else " without classes"
        return _align_training(
            found.without_classes(
                f"{against} has images{reason}: all images are compared without classes"
            ),
            classes,
        )
    table = torch.tensor([-1 if number is None else number for number in numbers])
    real = replace(found.real, labels=table[found.real.labels], classes=classes)
    return _align_training(replace(found, real=real), classes)


def _align_training(found: RealImages, classes: tuple[str, ...]) -> RealImages:
    """Return the images with training images of these classes, or without classes."""
    import torch

    training = found.training
    if training.classes == classes:
        return found
    numbers = match_classes(training.classes, classes)
    if training.labels is None or None in numbers:
        training = replace(training, labels=None, classes=())
    else:
        table = torch.tensor([number or 0 for number in numbers])
        training = replace(training, labels=table[training.labels], classes=classes)
    return replace(found, training=training, model_training=training)
