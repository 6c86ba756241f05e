"""Trained models: a denoiser or an image generator with the weights of a checkpoint or an EMA."""

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.networks import build_denoiser
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.windowed_denoiser import WindowSettings
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.engine.device import choose_precision
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.engine.reduced_precision.precision_comparison import compare_with_fp32
from iddm_cli.engine.sampling.crop_places import CropPlaces
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.networks.augmentation import remove_augmentation
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables
from iddm_cli.records.weights_names import part_of_weights
from iddm_cli.value_range import EIGHT_BIT, ValueRange

FEWEST_DURING_TRAINING = 128
"""Images from which on auto compares precisions during training. Weights change from one set of
images to the next, so each set has a comparison of its own, and must be worth it."""


def load_denoiser(
    profile: ResolvedProfile,
    num_classes: int,
    source: WeightsSource,
    weights: str,
    device: torch.device,
) -> Denoiser:
    """Build a denoiser that generates, and load its weights.

    Args:
        profile: The profile that it was trained with.
        num_classes: Number of classes.
        source: The checkpoint or exported file.
        weights: `average` (EMA) or `raw` (as the optimizer left them).
        device: Where it will compute.

    Raises:
        CheckpointError: The source is damaged, or belongs to another network.
    """
    denoiser = build_denoiser(profile, num_classes).requires_grad_(False).eval()
    targets = denoiser.backbone.state_dict()
    for name, tensor in source.read(part_of_weights(weights), targets).items():
        targets[name].copy_(tensor)
    remove_augmentation(denoiser.backbone)
    return denoiser.to(device)


def build_image_generator(
    profile: ResolvedProfile,
    classes: tuple[str, ...],
    source: WeightsSource,
    compute: ComputeContext,
    values: ValueRange = EIGHT_BIT,
    weaker: Denoiser | None = None,
    *,
    tables: TunedTables = NO_TABLES,
    decoder: LatentDecoder | None = None,
) -> ImageGenerator:
    """Build the image generator of a trained model.

    Args:
        profile: The profile, with the sampling section to use.
        classes: Class names by label.
        source: The weights.
        compute: The compute context.
        values: The range of values that it was trained on.
        weaker: The weaker denoiser of autoguidance, on the same device.
        tables: The tables that were tuned for the network.
        decoder: The decoder of its latents; None: it generates pixels.

    Raises:
        CheckpointError: The source is damaged, or belongs to another network.
    """
    sampling = profile.sampling
    denoiser = load_denoiser(profile, len(classes), source, sampling.weights, compute.device)
    return ImageGenerator(
        denoiser,
        sampling,
        num_classes=len(classes),
        shape=profile.data.diffused_shape,
        levels=values.levels,
        weaker=weaker,
        tables=tables,
        windows=choose_windows(profile),
        decoder=decoder,
        places=choose_places(profile),
    )


def choose_windows(profile: ResolvedProfile) -> WindowSettings | None:
    """Return the windows that images are computed in; None: they are computed whole."""
    size = profile.data.window_size
    return None if size is None else WindowSettings(size, profile.sampling.window_overlap)


def choose_places(profile: ResolvedProfile) -> CropPlaces | None:
    """Return where in whole images generated ones lie; None: the network knows no positions."""
    data = profile.data
    if not data.crop_position:
        return None
    height, width = data.whole_size or data.size
    return CropPlaces((height, width))


def build_training_generator(
    ema: Denoiser,
    profile: ResolvedProfile,
    num_classes: int,
    *,
    images: int,
    group: ProcessGroup,
    levels: int = EIGHT_BIT.levels,
    decoder: LatentDecoder | None = None,
) -> ImageGenerator:
    """Build the image generator of a sample grid or an evaluation during training.

    Collective: every process must call it.

    Args:
        ema: The denoiser with the EMA weights.
        profile: The profile.
        num_classes: Number of classes.
        images: Number of images that all processes will generate with it.
        group: The processes that train together.
        levels: The highest level of a pixel.
        decoder: The decoder of latents; None: the network generates pixels.
    """
    generator = ImageGenerator(
        ema,
        profile.sampling,
        num_classes=num_classes,
        shape=profile.data.diffused_shape,
        levels=levels,
        decoder=decoder,
        places=choose_places(profile),
    )
    return generator.with_precision(_choose_training_precision(generator, images, group))


def _choose_training_precision(generator: ImageGenerator, images: int, group: ProcessGroup) -> str:
    """Return the precision of images during training, the same in all processes.

    It is a function of weights and settings, so that a resumed run generates the same images.
    """
    if group.is_sharded:  # its processes compute together, and so not several blocks at once
        return "fp32"
    wanted = generator.settings.precision
    precision = choose_precision(wanted, generator.denoiser.schedule.alpha.device)
    if wanted != "auto":
        return precision
    if images < FEWEST_DURING_TRAINING:
        return "fp32"
    is_close = precision != "fp32" and compare_with_fp32(generator, precision).is_close
    return "fp32" if group.all_reduce_max(int(not is_close)) else precision
