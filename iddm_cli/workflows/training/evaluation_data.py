"""What a training needs to evaluate generated images: the real ones, and a feature network."""

from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.workflows.training.attach_dataset import align_classes

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.runs.run import Run


def prepare_evaluation(
    profile: "ResolvedProfile", pack: "Pack", resumed: "Run | None"
) -> "Pack | None":
    """Train the feature network of a dataset, before the processes of a training meet.

    Args:
        profile: The profile.
        pack: The dataset.
        resumed: The run that is resumed; None for a new one.

    Returns:
        The dataset to compare with: the same images without random crops, and with the classes in
        the order of the run; None where evaluation.every is 0.

    Raises:
        DatasetError: The images cannot be read.
    """
    if profile.evaluation.every == 0:
        return None
    from iddm_cli.build.evaluator import prepare_features

    is_autoencoder = profile.model.is_autoencoder
    if pack.held_out is None and not is_autoencoder:
        console.print_warning(
            "evaluation.every compares generated images with training images, since there are no "
            "held-out ones (data.held_out)"
        )
    classes, name = pack.classes, "to be trained"
    if resumed is not None:
        classes, name = resumed.read_classes(), resumed.name
    if profile.data.random_crop < 1:
        profile, pack = _pack_without_crops(profile, pack)
    pack = align_classes(pack, classes, name)
    if is_autoencoder:  # which is compared with its originals, without features
        return pack
    with show_progress() as progress:
        prepare_features(profile, pack, progress=progress)
    return pack


def _pack_without_crops(profile: "ResolvedProfile", pack: "Pack") -> "tuple[ResolvedProfile, Pack]":
    """Return the same images at the size of generated ones."""
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_dataset

    data = profile.data.model_copy(update={"random_crop": 1.0})
    conditional = bool(pack.classes)
    source = open_dataset(data, require_labels=False)
    with show_progress() as progress:
        found = build_pack(
            source,
            data.model_copy(update={"conditional": conditional}),
            values=pack.values,
            progress=progress,
        )
    return profile.model_copy(update={"data": data}), found
