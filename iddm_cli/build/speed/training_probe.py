"""A probe of a training: some of its steps and images on this machine, in bounded time."""

from dataclasses import dataclass

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.data import build_loader
from iddm_cli.build.memory import choose_micro_batch
from iddm_cli.build.samples.sample_grid import count_grid_images
from iddm_cli.build.speed.sampling_probe import time_image
from iddm_cli.build.trainer import build_train_step
from iddm_cli.data.packs.pack import Pack
from iddm_cli.engine.device import peak_memory
from iddm_cli.engine.monitoring.loss_plan import TRAINING_PASSES
from iddm_cli.engine.monitoring.step_timing import StepTiming, time_steps
from iddm_cli.profiles.profile import ResolvedProfile

SAMPLING_SECONDS = 3.0
"""How long the probe of sampling may take."""


@dataclass(frozen=True)
class TrainingProbe:
    """What some steps and images of a training took.

    Attributes:
        step: The time of a step.
        image: Seconds to generate one image of a sample grid; 0 if nothing generates images.
        forward: Seconds of a forward pass of one image.
        peak: Bytes that this process, or its GPU, held at most; None if no whole step was made, or
            the system does not say.
    """

    step: StepTiming
    image: float
    forward: float
    peak: int | None


def probe_training(profile: ResolvedProfile, pack: Pack, compute: ComputeContext) -> TrainingProbe:
    """Make some steps of a training in this process, and forget them.

    Args:
        profile: The profile; its batch is the share of one process.
        pack: The dataset.
        compute: The compute context.

    Raises:
        IddmError: Not even one image fits the memory.
    """
    batches = build_loader(profile, pack, compute.device)
    try:
        train_step = build_train_step(
            profile,
            len(pack.classes),
            batches,
            compute,
            micro_batch=choose_micro_batch(profile, pack, compute),
            compiling=profile.runtime.compile,
        )
        if compute.device.type == "cuda" and profile.training.micro_batch == "auto":
            train_step.probe_memory(0)
        timing = time_steps(train_step, first_step=train_step.discriminator_step.start)
        whole = timing.images == len(train_step.slots)
        peak = peak_memory(compute.device) if whole else None
        forward = timing.seconds / len(train_step.slots) / TRAINING_PASSES
        image = 0.0
        if profile.training.sample_count or profile.evaluation.every:
            image = time_image(
                train_step.state.ema.module,
                profile,
                len(pack.classes),
                images=count_grid_images(profile, len(pack.classes)),
                forward=forward,
                limit=SAMPLING_SECONDS,
            )
        return TrainingProbe(timing, image, forward, peak)
    finally:
        batches.store.close()
