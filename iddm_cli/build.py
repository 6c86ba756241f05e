"""The seam between settings and objects: only this file knows both profiles and the engine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from iddm_cli import pictures
from iddm_cli.data.augment import Augmentation
from iddm_cli.data.batches import Batches
from iddm_cli.data.packing import Pack
from iddm_cli.data.parallel import cores
from iddm_cli.data.sources import open_source
from iddm_cli.data.stores import FileStore, MemoryStore, Store, StreamStore
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import SCHEDULES, NoiseSchedule
from iddm_cli.engine import device as devices
from iddm_cli.engine import randomness
from iddm_cli.engine.checkpoint import CheckpointFolder, checkpoint_files
from iddm_cli.engine.fit import Kinds, Tensors, kinds_of
from iddm_cli.engine.generator import Generator, Order, to_image
from iddm_cli.engine.learner import total_steps
from iddm_cli.engine.memory import MemoryEstimate, estimate_memory
from iddm_cli.engine.optimizers import unused_state
from iddm_cli.engine.retention import Retention
from iddm_cli.engine.team import ALONE, Team
from iddm_cli.engine.trainer import Trainer
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.export.model import Story, TrainedModel
from iddm_cli.importing.foreign import Asked, Foreign
from iddm_cli.importing.source import read
from iddm_cli.networks import NETWORKS
from iddm_cli.runs import Run
from iddm_cli.serving.exact import ON_CPU, ON_GPU, Exact
from iddm_cli.serving.model import ServedModel
from iddm_cli.settings import (
    NETWORK_SETTINGS,
    CacheName,
    DataSettings,
    Profile,
    RuntimeSettings,
    TrainingSettings,
)

SAMPLE_SEED = 0
"""Sample grids start from the same noise in every run, so that runs compare as well as steps."""

MOST_CLASSES_IN_GRID = 64
"""With more classes a sample grid shows some of them, always the same."""

STATE_BYTES = 5 * 4
"""Bytes for each parameter: weight, gradient, average and two means, see MemoryEstimate."""

MEMORY_SHARE = 0.8
"""Of the free memory, how much training.micro_batch: auto takes."""

DEVICE_DATA_SHARE = 0.25
"""Packs up to this share of a GPU's free memory are kept there whole."""


class Saved(Protocol):
    """Weights on the disk: a checkpoint, or an exported file."""

    @property
    def step(self) -> int:
        """Updates done when they were saved."""
        ...

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read model or average, which must fit the tensors in `like`."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a run computes, and in which precision."""

    device: torch.device
    precision: str


def choose_place(
    runtime: RuntimeSettings, device: torch.device | None = None, team: Team = ALONE
) -> Place:
    """Set up this process for computing, on this device or the one that is asked for.

    Raises:
        UsageError: This machine has no such device.
    """
    devices.prepare(runtime.threads, team.neighbours)
    device = device or devices.choose_device(runtime.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return Place(device, devices.choose_precision(runtime.precision, device))


def make_denoiser(profile: Profile, num_classes: int) -> Denoiser:
    """Make an untrained denoiser on the CPU, its weights a function of the seed."""
    check_size(profile, num_classes)
    randomness.seed_library(profile.training.seed, "weights", step=0)
    backbone = make_backbone(profile, num_classes)
    schedule = NoiseSchedule(SCHEDULES[profile.diffusion.schedule](profile.diffusion.timesteps))
    return Denoiser(
        # Convolutions are faster with the channels innermost, on CPUs and GPUs alike.
        backbone.to(memory_format=torch.channels_last),
        schedule,
        prediction=profile.diffusion.prediction,
        loss_weight=profile.diffusion.loss_weight,
    )


def make_backbone(profile: Profile, num_classes: int) -> nn.Module:
    """Make the network that a profile asks for."""
    settings = profile.model.model_dump(include=set(NETWORK_SETTINGS[profile.model.network]))
    channels = picture_shape(profile.data)[0]
    return NETWORKS[profile.model.network](channels=channels, num_classes=num_classes, **settings)


def check_size(profile: Profile, num_classes: int) -> Kinds:
    """Refuse a network that this machine cannot even hold, before it tries.

    Returns:
        Its tensors, of which none is made.

    Raises:
        UsageError: There is not so much memory.
    """
    try:
        with torch.device("meta"):
            network = make_backbone(profile, num_classes)
        needed = float(4 * sum(p.numel() for p in network.parameters()))
    except RuntimeError:  # more numbers than a tensor can count
        needed = math.inf
    there = devices.all_memory(torch.device("cpu"))
    if needed > there:
        raise _too_large(needed, there)
    return kinds_of(network.state_dict())


def picture_shape(data: DataSettings) -> tuple[int, int, int]:
    """Return channels, height and width of a picture."""
    assert data.channels != "auto", "the pack has decided, see learnt_from"
    return data.channels, *data.size


def learnt_from(profile: Profile, pack: Pack) -> Profile:
    """Write down in a profile what was found out about its pictures: whether they are grey."""
    data = profile.data.model_copy(update={"channels": pack.channels})
    return profile.model_copy(update={"data": data})


def choose_cache(data: DataSettings, pack: Pack, device: torch.device) -> CacheName:
    """Say where the pictures wait while training: device, memory, disk or off.

    Raises:
        DatasetError: They are wanted in a memory that has no room for them.
    """
    if not pack.record.stored or data.cache == "off":
        return "off"
    if data.cache in ("memory", "device"):
        free = devices.free_memory(device if data.cache == "device" else torch.device("cpu"))
        if pack.pixels_bytes > free:
            raise DatasetError(
                f"The pictures take {pack.pixels_bytes / 1e9:.2f} GB, and {free / 1e9:.2f} GB of "
                f"memory are free for data.cache: {data.cache}.",
                "Set data.cache to disk, which is as fast where the system has room to spare.",
            )
        return data.cache
    on_gpu = device.type == "cuda"
    fits = on_gpu and pack.pixels_bytes < DEVICE_DATA_SHARE * devices.free_memory(device)
    return "device" if fits else "disk"


def make_store(profile: Profile, pack: Pack, device: torch.device, team: Team = ALONE) -> Store:
    """Open the pictures of a pack where its profile wants them.

    Raises:
        DatasetError: They are wanted in a memory that has no room for them.
    """
    data = profile.data
    cache = choose_cache(data, pack, device)
    if cache == "off":
        source = open_source(data.path, size=data.stored_size, label_column=data.label_column)
        kept = sorted(set(range(len(source))) - set(pack.record.left_out))
        workers = max(1, (data.workers or cores()) // team.neighbours)
        return StreamStore(source, kept, pack.look, workers=workers, seconds=data.timeout)
    store = FileStore(pack.images_path, (pack.channels, pack.height, pack.width))
    if cache == "disk":
        return store
    return MemoryStore(store.read_all().to(device if cache == "device" else "cpu"))


def make_batches(profile: Profile, pack: Pack, device: torch.device, team: Team = ALONE) -> Batches:
    """Open a pack for training."""
    seed, data = profile.training.seed, profile.data
    changes = data.horizontal_flip or data.random_crop < 1 or data.rotation > 0
    return Batches(
        make_store(profile, pack, device, team),
        torch.from_numpy(pack.labels),
        batch_size=profile.training.batch_size,
        order=lambda epoch: randomness.permutation(seed, "order", step=epoch, count=pack.count),
        augment=Augmentation(data, partial(_uniform, seed)) if changes else None,
        device=device,
    )


def _uniform(seed: int, purpose: str, step: int, slots: torch.Tensor) -> torch.Tensor:
    return randomness.uniform(seed, purpose, items=slots, step=step)


def check_shared(training: TrainingSettings, processes: int) -> None:
    """Refuse a batch that is too small to be shared.

    Raises:
        UsageError: Some process would have nothing to do.
    """
    if training.batch_size < processes:
        raise UsageError(
            f"a batch of {training.batch_size} cannot be shared by {processes} processes",
            "Give training.batch_size at least one picture for each, or use fewer devices.",
        )


def make_trainer(
    profile: Profile, pack: Pack, run: Run, place: Place, team: Team = ALONE
) -> Trainer:
    """Make the trainer of a run."""
    denoiser = make_denoiser(profile, len(pack.classes)).to(place.device)
    _check_room(denoiser, place.device)
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


def load_denoiser(
    profile: Profile, num_classes: int, saved: Saved, weights: str, device: torch.device
) -> Denoiser:
    """Make a denoiser and fill it from a checkpoint: its `average` or `raw` weights.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    denoiser = make_denoiser(profile, num_classes).requires_grad_(False).eval()
    part = {"average": "average", "raw": "model"}[weights]
    targets = denoiser.backbone.state_dict()
    for name, tensor in saved.read(part, targets).items():
        targets[name].copy_(tensor)
    return denoiser.to(device)


def make_generator(
    profile: Profile, classes: tuple[str, ...], saved: Saved, place: Place
) -> Generator:
    """Make the generator of a trained run.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    sampling = profile.sampling
    denoiser = load_denoiser(profile, len(classes), saved, sampling.weights, place.device)
    return Generator(
        denoiser, sampling, num_classes=len(classes), shape=picture_shape(profile.data)
    )


def load_served(
    name: str, profile: Profile, classes: tuple[str, ...], saved: Saved, place: Place
) -> ServedModel:
    """Load a trained model for the server; on the CPU each thread computes pictures of its own.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    sampling, shape = profile.sampling, picture_shape(profile.data)
    denoiser = load_denoiser(profile, len(classes), saved, sampling.weights, place.device)
    on_cpu = place.device.type == "cpu"
    return ServedModel(
        name=name,
        trained=saved.step,
        classes=classes,
        shape=shape,
        sampling=sampling,
        denoiser=denoiser,
        exact=Exact(
            denoiser,
            shape,
            blocks=ON_CPU if on_cpu else ON_GPU,
            lanes=torch.get_num_threads() if on_cpu else 1,
        ),
    )


def largest_micro_batch(profile: Profile, pack: Pack, place: Place, team: Team = ALONE) -> int:
    """Return how many pictures this process can compute at once, by an estimate."""
    found = estimate(profile, pack, place)
    room = MEMORY_SHARE * devices.free_memory(place.device) / team.neighbours
    most = int((room - found.total + found.activations) / (found.activations / found.micro_batch))
    size = len(team.slots(profile.training.batch_size))
    while size > max(1, most):
        size = (size + 1) // 2
    return size


def _check_room(denoiser: Denoiser, device: torch.device) -> None:
    """Refuse a network that this device can never train.

    Raises:
        UsageError: Its weights, gradients, averages and means alone are too large.
    """
    needed = STATE_BYTES * sum(p.numel() for p in denoiser.parameters())
    there = devices.all_memory(device)
    if needed > there:
        raise _too_large(needed, there)


def _too_large(needed: float, there: int) -> UsageError:
    return UsageError(
        f"the network is too large: it takes {needed / 1e9:.4g} GB, and this device has "
        f"{there / 1e9:.4g} GB",
        "Choose smaller model.base_channels, model.channel_multipliers or model.blocks_per_level.",
    )


def load_model(
    name: str, profile: Profile, classes: tuple[str, ...], saved: Saved, story: Story
) -> TrainedModel:
    """Load what is exported of a trained model.

    Raises:
        CheckpointError: It is damaged, or is of another network.
    """
    weights = profile.sampling.weights
    return TrainedModel(
        run=name,
        step=saved.step,
        weights=weights,
        profile=profile,
        classes=classes,
        denoiser=load_denoiser(profile, len(classes), saved, weights, torch.device("cpu")),
        story=story,
    )


def story_of(run: Run, step: int) -> Story:
    """Return what a run's files tell of its training, up to a step."""
    rows = [row for row in run.rows() if row["step"] <= step]
    manifest = run.read("run.json")
    grid = run.samples / f"step-{step:08d}.png"
    return Story(
        dataset=run.read("dataset.json"),
        figures=rows[-1] if rows else {},
        made_with={name: str(manifest[name]) for name in ("iddm", "torch") if name in manifest},
        grid=grid.read_bytes() if grid.is_file() else b"",
    )


def import_model(source: Path, asked: Asked) -> Foreign:
    """Read a model of another program, or an export of our own.

    Raises:
        CheckpointError: It cannot be imported.
        UsageError: It does not say something that must be given.
    """
    return read(source, asked, check_size)


def imported_files(model: Foreign) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an imported run's first checkpoint, by their paths inside it."""
    parts = {
        "model": model.raw,
        "average": model.average,
        "optimizer": unused_state(model.raw, model.profile.training),
    }
    state: dict[str, object] = {"bits": {}, "scaler": {}, "course": {}, "metrics": {}}
    return checkpoint_files(0, parts, state)


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
