"""Train a feature network on real images: on their classes, or without classes on rotations.

The training is a function of (images, labels, seed): it takes its random numbers from
`engine.randomness`, and the same machine gives the same weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.engine import randomness
from iddm_cli.evaluation.feature_network import FeatureNetwork

BATCH_SIZE = 128
MAX_STEPS = 800
MAX_EPOCHS = 60
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
MAX_SHIFT = 1 / 16
"""Largest random shift, as a fraction of the image."""

ROTATIONS = 4


@dataclass(frozen=True)
class TrainedFeatures:
    """A trained feature network.

    Attributes:
        network: The network, in evaluation mode.
        task: "classes", or "rotations" where the images have no classes.
        accuracy: Share of held-out images with the right answer, in [0, 1]; nan without any.
        chance: The accuracy of guessing.
    """

    network: FeatureNetwork
    task: str
    accuracy: float
    chance: float


def train_features(
    images: Tensor,
    labels: Tensor | None,
    held_out: tuple[Tensor, Tensor | None],
    *,
    num_classes: int = 0,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> TrainedFeatures:
    """Train a feature network.

    With classes it learns to name them; without, to tell by how many quarter turns an image was
    rotated (Gidaris et al. 2018, arXiv:1803.07728).

    Args:
        images: Images to train on, float in [-1, 1], [N, C, H, W].
        labels: Their classes, int64 [N]; None without classes.
        held_out: Images and labels for the accuracy.
        num_classes: Number of classes.
        seed: Random seed.
        progress: Called after every step.
    """
    task = "classes" if labels is not None and num_classes > 1 else "rotations"
    outputs = num_classes if task == "classes" else ROTATIONS
    randomness.seed_library(seed, "feature-init", step=0)
    network = FeatureNetwork(images.shape[1], outputs)
    _fit(network, images, labels if task == "classes" else None, seed, progress)
    accuracy = _accuracy(network.eval(), *held_out, rotations=task == "rotations")
    return TrainedFeatures(network, task, accuracy, 1 / outputs)


def _fit(
    network: FeatureNetwork,
    images: Tensor,
    labels: Tensor | None,
    seed: int,
    progress: ProgressCallback,
) -> None:
    steps = max(1, min(MAX_STEPS, math.ceil(MAX_EPOCHS * len(images) / BATCH_SIZE)))
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.2
    )
    network.train()
    for step in range(steps):
        slots = torch.arange(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)
        index = _shuffled(slots, len(images), seed)
        x = shift_images(images[index], seed, step)
        if labels is None:
            x, target = rotate_quarters(x, seed, step)
        else:
            target = labels[index]
        loss = F.cross_entropy(network(x), target, label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        progress("training the feature network", step + 1, steps)


def _shuffled(slots: Tensor, count: int, seed: int) -> Tensor:
    """Return the image of each slot: every epoch is a new order of all images."""
    epochs = slots // count
    orders = {
        epoch: randomness.permutation(seed, "feature-order", step=epoch, count=count)
        for epoch in epochs.unique().tolist()
    }
    return torch.stack(
        [orders[epoch][slot % count] for epoch, slot in zip(epochs.tolist(), slots, strict=True)]
    )


def shift_images(x: Tensor, seed: int, step: int) -> Tensor:
    """Shift each image by up to MAX_SHIFT in both directions; its border is repeated."""
    height, width = x.shape[2:]
    items = torch.arange(len(x))
    reach = [max(1, round(MAX_SHIFT * side)) for side in (height, width)]
    fractions = [
        randomness.uniform(seed, f"feature-shift-{axis}", items=items, step=step) for axis in "yx"
    ]
    down, right = (
        (fraction * (2 * most + 1)).long() - most
        for fraction, most in zip(fractions, reach, strict=True)
    )
    rows = (torch.arange(height) + down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width) + right[:, None]).clamp(0, width - 1)
    return x[items[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def rotate_quarters(x: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Rotate each image by a random number of quarter turns, and return these numbers too.

    Images that are not square are cropped to the square at their centre first.
    """
    side = min(x.shape[2:])
    top, left = (x.shape[2] - side) // 2, (x.shape[3] - side) // 2
    x = x[:, :, top : top + side, left : left + side]
    fraction = randomness.uniform(seed, "feature-turn", items=torch.arange(len(x)), step=step)
    turns = (fraction * ROTATIONS).long()
    turned = torch.stack([x.rot90(k, dims=(2, 3)) for k in range(ROTATIONS)])
    return turned[turns, torch.arange(len(x))], turns


@torch.inference_mode()
def _accuracy(
    network: FeatureNetwork, images: Tensor, labels: Tensor | None, *, rotations: bool
) -> float:
    if len(images) == 0 or (labels is None and not rotations):
        return math.nan
    right = 0
    for start in range(0, len(images), BATCH_SIZE):
        x = images[start : start + BATCH_SIZE]
        if rotations:
            x, target = rotate_quarters(x, 0, start)
        else:
            assert labels is not None, "classes have labels"
            target = labels[start : start + BATCH_SIZE]
        right += int((network(x).argmax(1) == target).sum())
    return right / len(images)
