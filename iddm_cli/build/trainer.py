"""The trainer of a run, its sample grids, and what a training will take."""

from functools import partial
from pathlib import Path

from iddm_cli import image_files
from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.data import build_loader
from iddm_cli.build.memory import largest_micro_batch
from iddm_cli.build.networks import (
    build_denoiser,
    check_room,
    image_shape,
)
from iddm_cli.checkpoints.folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.data.packs.pack import Pack
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device as devices
from iddm_cli.engine.image_generator import Generator, Order, to_image
from iddm_cli.engine.trainer import Trainer
from iddm_cli.profiles.profile import Profile
from iddm_cli.runs.run import Run

SAMPLE_SEED = 0
"""Sample grids start from the same noise in every run, so that runs compare as well as steps."""

MOST_CLASSES_IN_GRID = 64
"""With more classes a sample grid shows some of them, always the same."""


def build_trainer(
    profile: Profile,
    pack: Pack,
    run: Run,
    place: ComputeContext,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Trainer:
    """Make the trainer of a run."""
    denoiser = build_denoiser(profile, len(pack.classes)).to(place.device)
    check_room(denoiser, place.device)
    training = profile.training
    if training.micro_batch == "auto" and place.device.type == "cpu":
        size = largest_micro_batch(profile, pack, place, group)
        training = training.model_copy(update={"micro_batch": size})
    wanted = profile.training.sample_count > 0
    return Trainer(
        denoiser,
        build_loader(profile, pack, place.device, group),
        training,
        times=profile.diffusion.times,
        precision=place.precision,
        num_classes=len(pack.classes),
        checkpoints=CheckpointFolder(
            run.checkpoints, Retention(training.keep, training.keep_every, training.keep_best)
        ),
        bits=devices.bits(place.device, place.precision, group.world_size),
        group=group,
        draw_samples=partial(_draw_samples, profile, pack.classes, run, group) if wanted else None,
    )


def _draw_samples(
    profile: Profile,
    classes: tuple[str, ...],
    run: Run,
    group: ProcessGroup,
    average: Denoiser,
    step: int,
) -> Path | None:
    """Draw the sample grid, each process its share; the leader puts it together."""
    generator = Generator(
        average,
        profile.sampling,
        num_classes=len(classes),
        shape=image_shape(profile.data),
    )
    count = profile.training.sample_count
    labels = evenly(max(1, len(classes)), MOST_CLASSES_IN_GRID)
    orders = [Order(label, index) for label in labels for index in range(count)]
    drawn = generator.pictures(
        group.shard_items(orders), seed=SAMPLE_SEED, batch_size=profile.sampling.batch_size
    )
    shares = group.gather_object([picture.pixels for picture in drawn])
    if not group.is_main:
        return None
    images = [
        to_image(shares[i % group.world_size][i // group.world_size]) for i in range(len(orders))
    ]
    names = [classes[label] if classes else "" for label in labels]
    rows = [(name, images[i * count : (i + 1) * count]) for i, name in enumerate(names)]
    path = run.samples / f"step-{step:08d}.png"
    image_files.save_png(image_files.grid(rows), path)
    return path


def evenly(count: int, most: int) -> list[int]:
    """Choose up to `most` of the numbers 0 to count - 1, spread evenly."""
    return [i * count // min(count, most) for i in range(min(count, most))]
