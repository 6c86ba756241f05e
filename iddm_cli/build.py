"""The seam between settings and objects: only this file knows both profiles and the engine."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from iddm_cli import pictures
from iddm_cli.data.batches import Batches, open_pixels
from iddm_cli.data.packing import Pack
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import SCHEDULES, NoiseSchedule
from iddm_cli.engine import device as devices
from iddm_cli.engine import randomness
from iddm_cli.engine.checkpoint import Checkpoint, CheckpointFolder, restore
from iddm_cli.engine.generator import Generator, Order
from iddm_cli.engine.memory import MemoryEstimate, estimate_memory
from iddm_cli.engine.trainer import Trainer, total_steps
from iddm_cli.networks import NETWORKS
from iddm_cli.runs import Run
from iddm_cli.settings import DataSettings, Profile, RuntimeSettings

SAMPLE_SEED = 0
"""Sample grids start from the same noise in every run, so that runs compare as well as steps."""

DEVICE_DATA_SHARE = 0.25
"""Packs up to this share of a GPU's free memory are kept there whole."""


@dataclass(frozen=True)
class Place:
    """Where a run computes, and in which precision."""

    device: torch.device
    precision: str


def choose_place(runtime: RuntimeSettings) -> Place:
    """Set up this process for computing and choose its device.

    Raises:
        UsageError: This machine has no such device.
    """
    devices.prepare(runtime.threads)
    device = devices.choose_device(runtime.device)
    return Place(device, devices.choose_precision(runtime.precision, device))


def make_denoiser(profile: Profile, num_classes: int) -> Denoiser:
    """Make an untrained denoiser on the CPU, its weights a function of the seed."""
    model = profile.model
    randomness.seed_library(profile.training.seed, "weights", step=0)
    backbone = NETWORKS[model.network](
        channels=profile.data.channels,
        num_classes=num_classes,
        **model.model_dump(exclude={"network"}),
    )
    schedule = NoiseSchedule(SCHEDULES[profile.diffusion.schedule](profile.diffusion.timesteps))
    return Denoiser(
        # Convolutions are faster with the channels innermost, on CPUs and GPUs alike.
        backbone.to(memory_format=torch.channels_last),
        schedule,
        prediction=profile.diffusion.prediction,
        loss_weight=profile.diffusion.loss_weight,
    )


def picture_shape(data: DataSettings) -> tuple[int, int, int]:
    """Return channels, height and width of a picture."""
    return data.channels, *data.size


def make_batches(profile: Profile, pack: Pack, device: torch.device) -> Batches:
    """Open a pack for training; small ones are moved onto a GPU whole."""
    shape = (pack.count, pack.channels, pack.height, pack.width)
    pixels = open_pixels(pack.images_path, shape)
    labels = torch.tensor(pack.labels)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if pixels.nbytes < DEVICE_DATA_SHARE * free:
            pixels, labels = pixels.to(device), labels.to(device)
    seed = profile.training.seed
    return Batches(
        pixels,
        labels,
        batch_size=profile.training.batch_size,
        order=lambda epoch: randomness.permutation(seed, "order", step=epoch, count=pack.count),
        mirrored=partial(_mirrored, seed) if profile.data.horizontal_flip else None,
    )


def _mirrored(seed: int, step: int, slots: torch.Tensor) -> torch.Tensor:
    return randomness.uniform(seed, "flip", items=slots, step=step) < 0.5


def make_trainer(profile: Profile, pack: Pack, run: Run, place: Place) -> Trainer:
    """Make the trainer of a run."""
    denoiser = make_denoiser(profile, len(pack.classes)).to(place.device)
    bits = devices.bits(place.device, place.precision)
    wanted = profile.training.sample_count > 0
    return Trainer(
        denoiser,
        make_batches(profile, pack, place.device),
        profile.training,
        times=profile.diffusion.times,
        precision=place.precision,
        num_classes=len(pack.classes),
        checkpoints=CheckpointFolder(run.checkpoints, profile.training.keep),
        bits={**bits, "micro_batch": profile.training.micro_batch},
        draw_samples=partial(_draw_samples, profile, pack.classes, run) if wanted else None,
    )


def _draw_samples(
    profile: Profile, classes: tuple[str, ...], run: Run, average: Denoiser, step: int
) -> Path:
    generator = Generator(
        average,
        profile.sampling,
        num_classes=len(classes),
        shape=picture_shape(profile.data),
    )
    count = profile.training.sample_count
    labels = range(max(1, len(classes)))
    orders = [Order(label, index) for label in labels for index in range(count)]
    drawn = generator.pictures(orders, seed=SAMPLE_SEED, batch_size=profile.sampling.batch_size)
    images = [to_image(picture.pixels) for picture in drawn]
    names = classes or ("",)
    rows = [(name, images[i * count : (i + 1) * count]) for i, name in enumerate(names)]
    path = run.samples / f"step-{step:08d}.png"
    pictures.save_png(pictures.grid(rows), path)
    return path


def to_image(pixels: torch.Tensor) -> Image.Image:
    """Turn uint8 pixels, [H, W, C], into a grey or colour image."""
    array = pixels.numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def load_denoiser(
    profile: Profile, num_classes: int, saved: Checkpoint, weights: str, device: torch.device
) -> Denoiser:
    """Make a denoiser and fill it from a checkpoint: its `average` or `raw` weights.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    denoiser = make_denoiser(profile, num_classes).requires_grad_(False).eval()
    part = {"average": "average", "raw": "model"}[weights]
    restore(denoiser.backbone.state_dict(), saved.read(part), str(saved.path / part))
    return denoiser.to(device)


def make_generator(
    profile: Profile, classes: tuple[str, ...], saved: Checkpoint, place: Place
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


def estimate(
    profile: Profile, num_classes: int, pictures_bytes: int, place: Place
) -> MemoryEstimate:
    """Estimate the memory that training this profile takes."""
    training = profile.training
    on_device = pictures_bytes if place.device.type == "cuda" else 0
    return estimate_memory(
        make_denoiser(profile, num_classes),
        shape=picture_shape(profile.data),
        micro_batch=training.micro_batch or training.batch_size,
        precision=place.precision,
        data=on_device,
        on_cpu=place.device.type == "cpu",
    )


def plan_steps(profile: Profile, count: int) -> int:
    """Return how many updates this profile makes on so many pictures."""
    return total_steps(profile.training, count)
