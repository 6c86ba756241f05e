"""Cascades: a second model upscales what a first one generates (`iddm generate --upscale`)."""

from dataclasses import replace
from typing import TYPE_CHECKING

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import UsageError
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.workflows import models
from iddm_cli.workflows.evaluating.class_matching import list_names, match_classes
from iddm_cli.workflows.generating.generate_options import DEFAULT_NOISE_LEVEL, GenerateOptions
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile
from iddm_cli.workflows.upscaling.model_upscaler import LoadedUpscaler, load_upscaler

if TYPE_CHECKING:
    import torch

    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.image_generator import ImageGenerator
    from iddm_cli.engine.sampling.upscaler import Cascade
    from iddm_cli.profiles.profile import ResolvedProfile


def load_second_model(
    options: GenerateOptions,
    base: models.ModelSource,
    profile: "ResolvedProfile",
    progress: ProgressCallback,
    device: "torch.device",
    group: "ProcessGroup",
) -> LoadedUpscaler:
    """Load the model that --upscale names, with the sampling settings of its own profile.

    Args:
        options: The options.
        base: The model that generates.
        profile: Its profile, with the sampling options.
        progress: Called while precisions are compared.
        device: The device.
        group: The processes that share this machine.

    Raises:
        IddmError: There is no such model, it is damaged, or it does not suit the other one.
    """
    model = models.find_model(options.runs_dir, options.upscale)
    given = dict.fromkeys(options.sampling) | {
        key: options.sampling.get(key)
        for key in ("--device runtime.device", "--precision sampling.precision")
    }
    own = load_sampling_profile(model, given, upscales=True)
    level = DEFAULT_NOISE_LEVEL if options.noise_level is None else options.noise_level
    if options.noise_level is None:
        level = min(level, own.model.upscale_noise)
    channels = own.data.channels, profile.data.channels
    if channels[0] != channels[1] or model.values != base.values:
        raise UsageError(
            f"--upscale {options.upscale} does not suit {base.name}: it was trained on "
            f"{channels[0]} channels and values of {model.values.describe()}, not "
            f"{channels[1]} channels and {base.values.describe()}",
            "Train a run that upscales on the same images.",
        )
    return load_upscaler(model, own, None, level, progress=progress, device=device, group=group)


def build_cascade(
    base: "ImageGenerator", loaded: LoadedUpscaler, classes: tuple[str, ...]
) -> "Cascade":
    """Build what generates smaller images and upscales them.

    Args:
        base: The image generator of the smaller images.
        loaded: The model that upscales.
        classes: The classes of the smaller images.

    Raises:
        UsageError: The model that upscales needs classes, and does not know these.
    """
    from iddm_cli.engine.sampling.upscaler import Cascade

    labels = match_labels(loaded, classes)
    return Cascade(base, loaded.upscaler, labels, loaded.choose_batch_size(base.shape[1:]))


def match_labels(loaded: LoadedUpscaler, classes: tuple[str, ...]) -> list[int]:
    """Return the label of the model that upscales for each class of the other, and for none.

    Raises:
        UsageError: It needs classes, and does not know these.
    """
    own, unlabelled = loaded.model.classes, len(loaded.model.classes)
    numbers = match_classes(list(classes), own) if own else [None] * len(classes)
    unknown = [name for name, number in zip(classes, numbers, strict=True) if number is None]
    if own and (unknown or not classes) and loaded.profile.training.label_drop == 0:
        raise UsageError(
            f"--upscale: {loaded.model.reference} was trained with classes alone, and does not "
            f"know {list_names(unknown) if unknown else 'those of these images'}",
            "Train a run that upscales on images of the same classes.",
        )
    return [*(unlabelled if number is None else number for number in numbers), unlabelled]


def add_second_model(metadata: SamplingMetadata, loaded: LoadedUpscaler) -> SamplingMetadata:
    """Return the metadata of generated images that a second model upscales."""
    return replace(
        metadata,
        upscale_with=f"{loaded.model.name}@{loaded.step}",
        noise_level=loaded.upscaler.noise_level,
    )


def enlarge_profile(profile: "ResolvedProfile", factor: int) -> "ResolvedProfile":
    """Return a profile whose images are so many times larger, for those that are on the disk."""
    size = [side * factor for side in profile.data.size]
    data = profile.data.model_copy(update={"image_size": size})
    return profile.model_copy(update={"data": data})
