"""The classifier of an arm: trained for a fixed number of updates, then tested.

Its weights are a function of (images, labels, seed); the initial ones of the seed alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from iddm_cli.data.loader.augment import Augmentation, UniformFn
from iddm_cli.data.loader.batch_loader import BatchLoader, normalize
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine import randomness
from iddm_cli.evaluation.features.feature_network import LARGEST_SIDE, FeatureNetwork
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.profiles.settings import DataSettings

FORMAT = 1
"""To be raised with every change of what a classifier is trained on, or how."""

WIDTH = 16
BATCH_SIZE = 64
TEST_BATCH_SIZE = 256
LEARNING_RATE = 1e-2
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
SMALLEST_CROP = 0.92
ROTATION_DEGREES = 5.0
LEVELS = 65_535


@dataclass(frozen=True)
class TrainingImages:
    """What a classifier is trained on.

    Attributes:
        pixels: Levels, uint16 [N, C, H, W]; see `reduce_pixels`.
        labels: Classes, int64 [N].
        num_classes: Number of classes.
        augment: Whether images are changed at random.
        mirror: Whether these changes include mirroring.
    """

    pixels: Tensor
    labels: Tensor
    num_classes: int
    augment: bool
    mirror: bool


def train_classifier(
    training: TrainingImages, *, seed: int, updates: int, after_update: Callable[[int], None]
) -> FeatureNetwork:
    """Return a classifier trained for a number of updates.

    Args:
        training: The images.
        seed: Seed of the initial weights, the order of the images and their augmentation.
        updates: Number of optimizer updates, of BATCH_SIZE images each.
        after_update: Called with the number of updates done.
    """
    randomness.seed_library(seed, "usefulness-init", step=0)
    network = FeatureNetwork(training.pixels.shape[1], training.num_classes, width=WIDTH)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=updates + 1, pct_start=0.2
    )
    loader, slots = _build_loader(training, seed, updates), torch.arange(BATCH_SIZE)
    network.train()
    for update in range(updates):
        x, target = loader.load_batch(update, slots)
        loss = cross_entropy(network(x), target, label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        after_update(update + 1)
    return network.eval()


def _build_loader(training: TrainingImages, seed: int, updates: int) -> BatchLoader:
    settings = DataSettings(
        image_size=list(training.pixels.shape[2:]),
        horizontal_flip=training.mirror,
        random_crop=SMALLEST_CROP,
        rotation=ROTATION_DEGREES,
    )
    changes = Augmentation(settings, _tabulate_uniform(seed, updates))
    return BatchLoader(
        MemoryStore(training.pixels),
        training.labels,
        batch_size=BATCH_SIZE,
        order=_tabulate_orders(seed, updates, len(training.pixels)).__getitem__,
        augment=changes if training.augment else None,
    )


def _tabulate_orders(seed: int, updates: int, count: int) -> Tensor:
    """Return the order of the images in each epoch, int64 [epochs, count]."""
    epochs = torch.arange(math.ceil(updates * BATCH_SIZE / count))
    key = randomness.key_of(seed, "usefulness-order")
    words = randomness.words(key, items=torch.zeros_like(epochs), step=epochs[:, None], count=count)
    return words.argsort(dim=1, stable=True)


def _tabulate_uniform(seed: int, updates: int) -> UniformFn:
    """Return the random numbers of augmentation, which are computed for all updates at once."""
    items = torch.arange(BATCH_SIZE).repeat(updates)
    steps = torch.arange(updates).repeat_interleave(BATCH_SIZE)[:, None]

    @cache
    def table(purpose: str) -> Tensor:
        numbers = randomness.uniform(seed, f"usefulness-{purpose}", items=items, step=steps)
        return numbers.view(updates, BATCH_SIZE)

    return lambda purpose, step, slots: table(purpose)[step, slots]


@torch.inference_mode()
def predict(network: FeatureNetwork, pixels: Tensor) -> Tensor:
    """Return the class that a network sees in each image, int64 [N].

    Args:
        network: In evaluation mode.
        pixels: Levels, uint16 [N, C, H, W].
    """
    batches = pixels.split(TEST_BATCH_SIZE)
    return torch.cat([network(normalize(batch)).argmax(1) for batch in batches])


def reduce_pixels(images: ImageSet) -> Tensor:
    """Return images of at most LARGEST_SIDE pixels on the longer side, uint16 [N, C, h, w]."""
    height, width = images.pixels.shape[2:]
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    starts = range(0, len(images), TEST_BATCH_SIZE)
    batches = (images.images(start, start + TEST_BATCH_SIZE) for start in starts)
    return torch.cat([_to_levels(interpolate(x, size=size, mode="area")) for x in batches])


def _to_levels(x: Tensor) -> Tensor:
    return ((x + 1) * (LEVELS / 2)).round().clamp(0, LEVELS).to(torch.uint16)
