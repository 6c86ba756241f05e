"""What a run is evaluated by: its held-out loss, on which images, and whether there are any."""

from functools import partial

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.data import build_low_resolution, build_training_store
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.crop_positions import locate_tiles
from iddm_cli.data.loader.crop_store import CropStore
from iddm_cli.data.loader.stores import PixelStore
from iddm_cli.data.packs.pack import Pack
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine.monitoring.held_out_loss import PURPOSE, EvaluationImages, HeldOutLoss
from iddm_cli.engine.monitoring.loss_plan import BANDS, LossPlan, plan_loss
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS
from iddm_cli.profiles.evaluation_metrics import HELD_OUT_LOSS
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.profiles.training_length import count_steps


def check_held_out(profile: ResolvedProfile, pack: Pack) -> None:
    """Check that a training that depends on the held-out loss has one.

    Raises:
        DatasetError: There are no held-out images.
        UsageError: The training is too short for one evaluation.
    """
    training = profile.training
    if training.stop_when is not None:
        setting = f"training.stop_when: {training.stop_when}"
    elif training.keep_best == HELD_OUT_LOSS:
        setting = f"training.keep_best: {training.keep_best}"
    else:
        return
    if pack.held_out is None:
        raise DatasetError(
            f"{setting} needs held-out images, and this training has none",
            "Start a run with data.held_out: 0.05, or with a val folder in the dataset; or set "
            f"{setting.split(':')[0]}=null.",
        )
    steps = count_steps(training, pack.count)
    if profile.evaluation.loss_every == "auto" and plan_held_out_loss(profile, pack) is None:
        raise UsageError(
            f"{setting} needs the held-out loss, and in {steps:,} steps of "
            f"{training.batch_size} images one evaluation takes more than 1 % of the training",
            "Train longer, or set evaluation.loss_every to a number of steps, whatever it costs.",
        )


def plan_held_out_loss(profile: ResolvedProfile, pack: Pack) -> LossPlan | None:
    """Return when a new training computes the held-out loss; None: never."""
    every = profile.evaluation.loss_every
    if pack.held_out is None or every == 0:
        return None
    return plan_loss(
        count_steps(profile.training, pack.count),
        profile.training.batch_size,
        min(pack.held_out.count, pack.count),
        every=None if every == "auto" else every,
        bands=count_bands(profile),
    )


def count_bands(profile: ResolvedProfile) -> int:
    """Return in how many parts of the diffusion time a loss is computed: autoencoders have none."""
    return 1 if profile.model.is_autoencoder else BANDS


def check_best_metric(profile: ResolvedProfile, pack: Pack) -> None:
    """Check that evaluations during training measure the metric of training.keep_best.

    Raises:
        DatasetError: It needs classes, and there are none.
        UsageError: It needs more images.
    """
    name = profile.training.keep_best
    row = QUALITY_METRICS.get(name) if name is not None else None
    if row is None:
        return
    if row.measure is None and len(pack.classes) < 2:
        raise DatasetError(
            f"training.keep_best: {name} needs images of at least two classes",
            "Choose another metric, such as mind.",
        )
    generated, real = profile.evaluation.count, (pack.held_out or pack).count
    if min(generated, real) < row.smallest:
        raise UsageError(
            f"training.keep_best: {name} needs {row.smallest} images of each kind, and there are "
            f"{generated:,} generated and {real:,} real ones",
            "Raise evaluation.count or data.held_out, or choose another metric, such as mind.",
        )


def build_held_out_loss(
    profile: ResolvedProfile,
    pack: Pack,
    batches: BatchLoader,
    compute: ComputeContext,
    group: ProcessGroup = SINGLE_PROCESS,
) -> HeldOutLoss | None:
    """Build what computes the held-out loss; None where there are no held-out images.

    Args:
        profile: The profile.
        pack: The dataset.
        batches: The loader of the training images, whose pixels are shared.
        compute: The compute context.
        group: The processes that train together.

    Raises:
        DatasetError: data.cache names a memory that has no room for the images.
    """
    held_out = pack.held_out
    if held_out is None or profile.evaluation.loss_every == 0:
        return None
    store = build_training_store(profile, held_out, compute.device, group)
    return HeldOutLoss(
        _describe_images(profile, store, torch.from_numpy(held_out.labels)),
        _describe_images(profile, batches.store, batches.labels),
        size=profile.data.diffused_size,
        seed=profile.training.seed,
        precision=compute.precision,
        group=group,
        condition=build_low_resolution(profile, f"{PURPOSE}/"),
        bands=count_bands(profile),
    )


def _describe_images(
    profile: ResolvedProfile, store: PixelStore, labels: torch.Tensor
) -> EvaluationImages:
    """Return images with their labels, and with their positions where the network reads them."""
    if not profile.data.crop_position:
        return EvaluationImages(store, labels)
    assert isinstance(store, CropStore), "positions are those of crops"
    return EvaluationImages(store, labels, partial(locate_tiles, store))
