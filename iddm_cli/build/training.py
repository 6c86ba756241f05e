"""The trainer of a run, its sample grids, and what a training will take."""

from functools import partial
from pathlib import Path

import torch

from iddm_cli import pictures
from iddm_cli.build.data import choose_cache, make_batches
from iddm_cli.build.networks import (
    check_room,
    check_size,
    make_backbone,
    make_denoiser,
    picture_shape,
)
from iddm_cli.build.place import Place
from iddm_cli.data.pack import Pack
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import device as devices
from iddm_cli.engine.checkpoint_folder import CheckpointFolder
from iddm_cli.engine.generator import Generator, Order, to_image
from iddm_cli.engine.learner import total_steps
from iddm_cli.engine.memory import MemoryEstimate, estimate_memory
from iddm_cli.engine.retention import Retention
from iddm_cli.engine.team import ALONE, Team
from iddm_cli.engine.trainer import Trainer
from iddm_cli.run import Run
from iddm_cli.settings import Profile

SAMPLE_SEED = 0
"""Sample grids start from the same noise in every run, so that runs compare as well as steps."""

MOST_CLASSES_IN_GRID = 64
"""With more classes a sample grid shows some of them, always the same."""

MEMORY_SHARE = 0.8
"""Of the free memory, how much training.micro_batch: auto takes."""


def check_trainable(profile: Profile, pack: Pack, device: torch.device) -> None:
    """Refuse what a device can never train, before anything is computed or written.

    Raises:
        UsageError: The network is too large for it.
        DatasetError: The pictures are wanted in a memory that has no room for them.
    """
    check_size(profile, len(pack.classes))
    with torch.device("meta"):
        check_room(make_backbone(profile, len(pack.classes)), device)
    choose_cache(profile.data, pack, device)


def make_trainer(
    profile: Profile, pack: Pack, run: Run, place: Place, team: Team = ALONE
) -> Trainer:
    """Make the trainer of a run."""
    denoiser = make_denoiser(profile, len(pack.classes)).to(place.device)
    check_room(denoiser, place.device)
    training = profile.training
    if training.micro_batch == "auto" and place.device.type == "cpu":
        size = largest_micro_batch(profile, pack, place, team)
        training = training.model_copy(update={"micro_batch": size})
    wanted = profile.training.sample_count > 0
    return Trainer(
        denoiser,
        make_batches(profile, pack, place.device, team),
        training,
        times=profile.diffusion.times,
        precision=place.precision,
        num_classes=len(pack.classes),
        checkpoints=CheckpointFolder(
            run.checkpoints, Retention(training.keep, training.keep_every, training.keep_best)
        ),
        bits=devices.bits(place.device, place.precision, team.size),
        team=team,
        draw_samples=partial(_draw_samples, profile, pack.classes, run, team) if wanted else None,
    )


def _draw_samples(
    profile: Profile, classes: tuple[str, ...], run: Run, team: Team, average: Denoiser, step: int
) -> Path | None:
    """Draw the sample grid, each process its share; the leader puts it together."""
    generator = Generator(
        average,
        profile.sampling,
        num_classes=len(classes),
        shape=picture_shape(profile.data),
    )
    count = profile.training.sample_count
    labels = evenly(max(1, len(classes)), MOST_CLASSES_IN_GRID)
    orders = [Order(label, index) for label in labels for index in range(count)]
    drawn = generator.pictures(
        team.share(orders), seed=SAMPLE_SEED, batch_size=profile.sampling.batch_size
    )
    shares = team.gather([picture.pixels for picture in drawn])
    if not team.leads:
        return None
    images = [to_image(shares[i % team.size][i // team.size]) for i in range(len(orders))]
    names = [classes[label] if classes else "" for label in labels]
    rows = [(name, images[i * count : (i + 1) * count]) for i, name in enumerate(names)]
    path = run.samples / f"step-{step:08d}.png"
    pictures.save_png(pictures.grid(rows), path)
    return path


def evenly(count: int, most: int) -> list[int]:
    """Choose up to `most` of the numbers 0 to count - 1, spread evenly."""
    return [i * count // min(count, most) for i in range(min(count, most))]


def largest_micro_batch(profile: Profile, pack: Pack, place: Place, team: Team = ALONE) -> int:
    """Return how many pictures this process can compute at once, by an estimate."""
    found = estimate(profile, pack, place)
    room = MEMORY_SHARE * devices.free_memory(place.device) / team.neighbours
    most = int((room - found.total + found.activations) / (found.activations / found.micro_batch))
    size = len(team.slots(profile.training.batch_size))
    while size > max(1, most):
        size = (size + 1) // 2
    return size


def estimate(profile: Profile, pack: Pack, place: Place) -> MemoryEstimate:
    """Estimate the memory that training this profile takes on its device.

    With training.micro_batch: auto, as if the whole batch were computed at once.
    """
    training = profile.training
    asked = training.micro_batch
    cache = choose_cache(profile.data, pack, place.device)
    on_device = cache == "device" or (cache == "memory" and place.device.type == "cpu")
    return estimate_memory(
        make_denoiser(profile, len(pack.classes)),
        shape=picture_shape(profile.data),
        micro_batch=asked if isinstance(asked, int) else training.batch_size,
        precision=place.precision,
        data=pack.pixels_bytes if on_device else 0,
        on_cpu=place.device.type == "cpu",
    )


def plan_steps(profile: Profile, count: int) -> int:
    """Return how many updates this profile makes on so many pictures."""
    return total_steps(profile.training, count)
