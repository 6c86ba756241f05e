"""Positions of crops are right wherever a network reads them: one that paints them is never wrong.

The images show where each of their pixels lies, mirrored images as well. A network that paints what
its coordinates say then has no loss on any crop, and generates exactly such images.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from iddm_cli.build.data import build_condition
from iddm_cli.build.models import choose_places, choose_windows
from iddm_cli.data.loader.augment import Augmentation
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.crop_positions import locate_tiles
from iddm_cli.data.loader.crop_store import CropStore, RandomCrops
from iddm_cli.data.packs.crops import plan_tiles
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.objectives.consistency_tuning import ConsistencyObjective, GuidedTeacher
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.engine.monitoring.held_out_loss import EvaluationImages, HeldOutLoss
from iddm_cli.engine.reduced_precision.batch_invariant import CPU_BLOCKS, BatchInvariantDenoiser
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.profiles.settings import SamplingSettings, TrainingSettings
from iddm_cli.serving.scheduling.batcher import InFlightSample
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.workflows.generating.image_size import set_size
from tests.build.profiles import tiny_profile

SIZES, CROP = np.array([[9, 20], [16, 7], [12, 12]]), (8, 6)
ROUNDING = 1 / 255**2
"""Of the levels of pixels, squared."""


def paint(height: int, width: int) -> np.ndarray:
    """Return an image whose channels are |x| and y of each pixel's centre, in [-1, 1]."""
    image = np.empty((2, height, width))
    for row in range(height):
        for column in range(width):
            x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
            image[:, row, column] = abs(x), y
    return image


def to_levels(image: np.ndarray) -> np.ndarray:
    return np.rint((image + 1) * 127.5).astype(np.uint8)


class Painter(nn.Module):
    """A network that predicts |x| and y, which its last two channels tell it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x_t, t, label):
        x, y = x_t[:, -2:].unbind(1)
        return torch.stack([x.abs(), y], 1) + 0 * self.weight


def make_denoiser() -> Denoiser:
    return Denoiser(Painter(), cosine_schedule(100), prediction="x", condition_channels=2)


def make_profile(**data):
    crops = {"channels": 2, "crop": [*CROP], "crop_position": True, "whole_size": [11, 24]}
    return tiny_profile(data=crops | data)


@pytest.fixture
def store(tmp_path) -> CropStore:
    images = [to_levels(paint(*size)).tobytes() for size in SIZES.tolist()]
    (tmp_path / "images").write_bytes(b"".join(images))
    tiles = [plan_tiles(size, CROP) for size in SIZES]
    return CropStore(
        tmp_path / "images",
        SIZES,
        shape=(2, *CROP),
        dtype=torch.uint8,
        rows=np.repeat(np.arange(len(SIZES)), [len(each) for each in tiles]),
        tiles=np.concatenate(tiles),
    )


def uniform(purpose, step, slots):
    return randomness.uniform(0, purpose, items=slots, step=step)


def make_step(store: CropStore, *, objective=None, **data) -> TrainStep:
    profile = make_profile(**data)
    batches = BatchLoader(
        store,
        torch.arange(len(store)) % 2,
        batch_size=16,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=len(store)),
        augment=Augmentation(profile.data, uniform),
        read=RandomCrops(store, uniform).read,
    )
    return TrainStep(
        make_denoiser(),
        batches,
        TrainingSettings(batch_size=16, steps=9, epochs=None),
        times="stratified",
        precision="fp32",
        num_classes=2,
        numerics={},
        objective=objective,
        condition=build_condition(profile, batches),
    )


@pytest.mark.parametrize("flip", [False, True])
def test_training_crops_have_the_coordinates_of_their_places_also_mirrored(store, flip):
    step = make_step(store, horizontal_flip=flip)
    for number in range(3):
        slots = torch.arange(16)[number:]
        x, _ = step.batches.load_batch(number, slots)
        coordinates = step.condition(x, number, slots)
        assert float(step.losses(number, slots).detach().max()) < ROUNDING
        assert (coordinates[:, 0].diff(dim=2) > 0).all(), "x grows to the right, also if mirrored"
        assert (coordinates[:, 1].diff(dim=1) > 0).all()
        plain = make_step(store).condition(x, number, slots)
        assert torch.equal(coordinates, plain) != flip


@pytest.mark.parametrize("guidance", [None, 2.0])
def test_distilling_reads_the_same_coordinates(store, guidance):
    teacher = guidance and GuidedTeacher(make_denoiser(), guidance, no_label=2)
    step = make_step(store, objective=ConsistencyObjective(teacher, stage_steps=1))
    for number in range(3):
        assert float(step.losses(number, torch.arange(16)).detach().max()) < 1e-3


def test_held_out_images_have_the_coordinates_of_their_tiles(store):
    images = EvaluationImages(store, torch.zeros(len(store)).long(), partial(locate_tiles, store))
    loss = HeldOutLoss(images, images, size=CROP, seed=0, precision="fp32")
    values = loss.compute(make_denoiser().eval(), 4, batch_size=5)
    assert max(values.values()) < ROUNDING


def make_generator(size, *, windows=True, **changes) -> ImageGenerator:
    profile = set_size(make_profile(), size, keep_batch=True, windows=windows)
    return ImageGenerator(
        make_denoiser().eval(),
        SamplingSettings(steps=3, guidance=2.0),
        num_classes=2,
        shape=profile.data.shape,
        windows=choose_windows(profile),
        places=choose_places(profile),
        **changes,
    )


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("size", [(12, 20), (8, 20), (40, 6)])
def test_a_larger_image_is_a_whole_one_in_windows_and_without(size, windows):
    specs = [SampleSpec(1, 0), SampleSpec(0, 7)]
    images = make_generator(size, windows=windows).generate_batch(specs, 0)
    expected = torch.from_numpy(to_levels(paint(*size))).permute(1, 2, 0).int()
    assert all((image.int() - expected).abs().max() <= 1 for image in images)


def find_place(pixels: torch.Tensor, whole: tuple[int, int]) -> list[tuple[int, int]]:
    """Return top and left of the places of a whole image that look like some pixels."""
    picture = torch.from_numpy(to_levels(paint(*whole))).permute(1, 2, 0).int()
    places = picture.unfold(0, CROP[0], 1).unfold(1, CROP[1], 1).permute(0, 1, 3, 4, 2)
    alike = ((places - pixels.int()).abs().amax((2, 3, 4)) <= 1).nonzero()
    return [(int(top), int(left)) for top, left in alike]


def test_an_image_of_the_size_of_a_crop_lies_anywhere_and_alone_where_it_lies_in_a_batch():
    generator = make_generator(CROP)
    specs = [SampleSpec(i % 2, i) for i in range(40)]
    images = generator.generate_batch(specs, 0)
    found = [find_place(image, (11, 24)) for image in images]
    assert all(found)
    assert {top for places in found for top, _ in places} == {0, 1, 2, 3}
    assert len({left for places in found for _, left in places}) > 8
    assert torch.equal(generator.generate_batch(specs[5:6], 0)[0], images[5])
    assert not torch.equal(generator.generate_batch(specs, 1), images)
    other = generator.generate_batch([SampleSpec(0, 5)], 0)[0]
    assert torch.equal(other, images[5]), "the same noise index has the same place in every class"


def test_the_server_places_an_image_where_generate_does():
    generator = make_generator(CROP)
    denoiser = generator.denoiser
    batched = BatchInvariantDenoiser(denoiser, (4, *CROP), blocks=CPU_BLOCKS, num_threads=1)
    model = ServedModel(
        "painter", "painter", 0, ("a", "b"), (2, *CROP), generator.settings, denoiser, batched,
        places=generator.places,
    )  # fmt: skip
    plan = model.plan_samples(model.sampling, label=1, seed=3)
    samples = [InFlightSample(plan, index) for index in (0, 4)]
    while not samples[0].finished:
        model.advance(samples[:1])
        model.advance(samples[1:])
    expected = generator.generate_batch([SampleSpec(1, 0), SampleSpec(1, 4)], 3)
    for sample, image in zip(samples, expected, strict=True):
        pixels = ((sample.x_t.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0)
        assert torch.equal(pixels.int(), image.int())
