"""The trainer of a run, and its sample grids."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.data import build_condition, build_conditioned_augmentation, build_loader
from iddm_cli.build.latents.discriminator_setup import (
    build_adversarial_objective,
    find_adversarial_settings,
)
from iddm_cli.build.latents.reconstructions import save_reconstruction_grid
from iddm_cli.build.loss_evaluation import build_held_out_loss, check_best_metric, check_held_out
from iddm_cli.build.memory import choose_micro_batch
from iddm_cli.build.networks import build_denoiser, check_fits_device, decide_kernels
from iddm_cli.build.samples.sample_grid import generate_sample_grid
from iddm_cli.build.transferring.adapted_weights import attach_adapters
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.checkpoints.snapshots import SnapshotFolder, choose_interval
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.packs.pack import Pack
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_profile_time_distribution
from iddm_cli.diffusion.objectives.consistency_tuning import ConsistencyObjective, GuidedTeacher
from iddm_cli.diffusion.objectives.objective import Objective
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device as devices
from iddm_cli.engine.acceleration.flops import Utilization, count_training_flops, find_peak
from iddm_cli.engine.memory import MicroBatch
from iddm_cli.engine.monitoring.evaluations import Evaluate
from iddm_cli.engine.monitoring.loss_plan import TRAINING_PASSES
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import GenerateSamples, Trainer
from iddm_cli.export.exported_weights import ExportedWeights
from iddm_cli.networks.kernels import KERNELS, use_kernels
from iddm_cli.profiles.overrides import select_recipe
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.runs.exported_file import open_exported_file
from iddm_cli.runs.run import Run


def build_trainer(
    profile: ResolvedProfile,
    pack: Pack,
    run: Run,
    compute: ComputeContext,
    group: ProcessGroup = SINGLE_PROCESS,
    evaluate: Evaluate | None = None,
    decoder: LatentDecoder | None = None,
) -> Trainer:
    """Build the trainer of a run.

    Args:
        profile: The profile.
        pack: The dataset.
        run: The run.
        compute: The compute context.
        group: The processes that train together.
        evaluate: Evaluates generated images, see `build.evaluator`; None: nothing does.
        decoder: The decoder of latents, for sample grids; None: the network generates pixels.

    Raises:
        UsageError: The network is too large for the device, or the training too short for its
            settings.
        DatasetError: data.cache names a memory that has no room for the images, or the settings
            need held-out images.
        CheckpointError: The teacher of a distilled run is missing or damaged.
    """
    check_held_out(profile, pack)
    check_best_metric(profile, pack)
    training = profile.training
    batches = build_loader(profile, pack, compute.device, group)
    teacher = open_start(profile, run) if group.is_main else None
    new_labels = group.broadcast(run.read_new_labels() if group.is_main else [])
    retention = Retention(training.keep, training.keep_every, training.best_metric)
    checkpoints = CheckpointFolder(run.checkpoints_dir, retention)
    train_step = build_train_step(
        profile,
        len(pack.classes),
        batches,
        compute,
        group,
        micro_batch=choose_micro_batch(profile, pack, compute, group),
        # Weights that are computed in each pass have not been compiled on any GPU yet.
        compiling="none" if training.lora_rank else profile.runtime.compile,
        numerics=checkpoints.read_latest_numerics(),
        teacher=teacher,
        new_labels=new_labels,
    )
    return Trainer(
        train_step,
        checkpoints=checkpoints,
        generate_samples=_choose_samples(profile, pack, run, group, decoder),
        recipe=select_recipe(profile),
        evaluation=profile.evaluation,
        held_out_loss=build_held_out_loss(profile, pack, batches, compute, group),
        evaluate=evaluate,
        utilization=_build_utilization(profile, train_step, compute),
        snapshots=_build_snapshots(profile, run, train_step.total_steps),
    )


def _choose_samples(
    profile: ResolvedProfile,
    pack: Pack,
    run: Run,
    group: ProcessGroup,
    decoder: LatentDecoder | None,
) -> GenerateSamples | None:
    """Return what writes the sample grids of a run: generated images, or reconstructions."""
    if profile.training.sample_count == 0:
        return None
    if profile.model.is_autoencoder:
        return partial(save_reconstruction_grid, profile, pack, run, group)
    return partial(generate_sample_grid, profile, pack, run, group, decoder=decoder)


def _build_snapshots(profile: ResolvedProfile, run: Run, total_steps: int) -> SnapshotFolder | None:
    """Return where the snapshots of a run's EMA go; None: it has none."""
    kept = profile.training.average_snapshots
    if not kept:
        return None
    return SnapshotFolder(run.snapshots_dir, choose_interval(total_steps), kept)


def open_start(profile: ResolvedProfile, run: Run) -> WeightsSource | None:
    """Return the weights that a run starts from each time: its teacher, or the base of adapters.

    Raises:
        CheckpointError: Their file is missing or damaged.
    """
    if profile.distillation.is_enabled:
        return ExportedWeights(open_exported_file(run.teacher_path))
    if profile.training.lora_rank:
        return ExportedWeights(open_exported_file(run.base_path))
    return None


def build_train_step(
    profile: ResolvedProfile,
    num_classes: int,
    batches: BatchLoader,
    compute: ComputeContext,
    group: ProcessGroup = SINGLE_PROCESS,
    *,
    micro_batch: MicroBatch | None = None,
    numerics: Mapping[str, object] | None = None,
    compiling: str = "none",
    teacher: WeightsSource | None = None,
    new_labels: Sequence[int] = (),
) -> TrainStep:
    """Build what makes the updates of an untrained network, or of a copy of its teacher.

    Args:
        profile: The profile.
        num_classes: Number of classes.
        batches: The images of each step.
        compute: The compute context.
        group: The processes that train together.
        micro_batch: How many images are computed at once; None: as many as the profile says.
        numerics: The numerics of the checkpoint that a resumed run starts from.
        compiling: Whether the network's blocks are compiled: auto, none or blocks.
        teacher: The weights of a distilled run's teacher, or those that adapters change, in the
            main process; None stands for untrained ones, which take as long.
        new_labels: Classes whose embeddings are trained in full beside adapters.

    Raises:
        UsageError: The network is too large for the device.
        CheckpointError: The teacher is damaged, or another network.
    """
    denoiser = build_denoiser(profile, num_classes).to(compute.device)
    check_fits_device(denoiser, compute.device, profile.model)
    kernels = decide_kernels(profile, denoiser, compute, numerics or {}, group)
    use_kernels(denoiser.backbone, KERNELS[kernels])
    if profile.training.lora_rank or profile.distillation.is_enabled:
        load_teacher(denoiser, teacher, group)
    if profile.training.lora_rank:
        attach_adapters(denoiser, profile, new_labels)
    adversarial = find_adversarial_settings(profile)
    return TrainStep(
        denoiser,
        batches,
        profile.training,
        times=profile.diffusion.times,
        time_distribution=build_profile_time_distribution(profile.diffusion, denoiser.schedule),
        precision=compute.precision,
        num_classes=num_classes,
        numerics=devices.numerics(
            compute.device,
            compute.precision,
            group.world_size,
            profile.runtime.tf32,
            kernels,
        ),
        group=group,
        compiling=compiling,
        objective=build_objective(profile, denoiser, num_classes, compute),
        augment=build_conditioned_augmentation(profile),
        micro_batch=micro_batch,
        condition=build_condition(profile, batches),
        discriminator_lr=adversarial.discriminator_lr if adversarial else 0.0,
    )


def build_objective(
    profile: ResolvedProfile, denoiser: Denoiser, num_classes: int, compute: ComputeContext
) -> Objective | None:
    """Build what the updates of a denoiser minimize; None: the denoising loss.

    Args:
        profile: The profile.
        denoiser: The denoiser; of a distilled run, with its teacher's weights.
        num_classes: Number of classes.
        compute: The compute context.
    """
    if profile.distillation.is_enabled:
        return build_consistency_objective(profile, denoiser, num_classes)
    return build_adversarial_objective(profile, compute.device, compute.precision)


def load_teacher(denoiser: Denoiser, teacher: WeightsSource | None, group: ProcessGroup) -> None:
    """Let a denoiser start from its teacher's weights. Collective: every process must call it.

    Args:
        denoiser: The denoiser, on its device.
        teacher: The weights, in the main process; None leaves the denoiser as it is.
        group: The processes that train together.

    Raises:
        CheckpointError: The weights are damaged, or belong to another network.
    """
    if not group.broadcast(teacher is not None):
        return
    targets = denoiser.backbone.state_dict()
    names = sorted(targets)
    read = teacher.read("average", targets) if teacher else None
    sources = [read[name] for name in names] if read else None
    group.broadcast_into([targets[name] for name in names], sources)


def build_consistency_objective(
    profile: ResolvedProfile, student: Denoiser, num_classes: int
) -> ConsistencyObjective:
    """Build the objective of a distilled run.

    Args:
        profile: The profile.
        student: The denoiser that will be trained, with its teacher's weights.
        num_classes: Number of classes.
    """
    settings, teacher = profile.distillation, None
    clip = profile.data.latents is None  # latents lie in no range that estimates can be clipped to
    if settings.needs_guided_teacher(num_classes):
        copied = copy.deepcopy(student).requires_grad_(False).eval()
        teacher = GuidedTeacher(
            copied,
            settings.guidance,
            no_label=num_classes,
            interval=settings.guidance_interval,
            rescale=settings.guidance_rescale,
            clip=clip,
        )
    return ConsistencyObjective(teacher, stage_steps=settings.stage_steps, clip=clip)


def _build_utilization(
    profile: ResolvedProfile, train_step: TrainStep, compute: ComputeContext
) -> Utilization:
    """Build what measures how much of the devices training uses.

    Collective: every process must call it, as the network may be sharded.
    """
    peak = None
    if compute.device.type == "cuda":
        name = torch.cuda.get_device_name(compute.device)
        peak = find_peak(name, compute.precision, profile.runtime.tf32)
    # The EMA is neither compiled nor recomputed.
    network = train_step.state.ema.module
    passes = 1 + train_step.objective.extra_passes / TRAINING_PASSES
    flops = round(passes * count_training_flops(network, profile.input_shape))
    return Utilization(flops, peak and peak * train_step.group.world_size)
