"""Train a feature network on real images: on their classes, or without classes on rotations.

The training is a function of (images, labels, seed): it takes its random numbers from
`engine.randomness`, and the same machine gives the same weights.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.engine import randomness
from iddm_cli.evaluation.features.feature_network import FeatureNetwork
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.networks.skeleton import shapes_only

BATCH_SIZE = 64
EPOCHS = 16
MIN_STEPS, MAX_STEPS = 60, 1500
"""Limits of the steps: 16 epochs are too few for small sets, and take too long for large ones."""

LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
MAX_SHIFT = 1 / 16
"""Largest random shift, as a fraction of the image."""

ROTATIONS = 4
MAX_BALANCE = 10.0
NEVER = -1e4
"""Bias of classes without images, which are never the answer."""


RECIPE = 1
"""Version of everything here that decides the weights; part of the key of cached networks."""


def build_network(channels: int, outputs: int, *, seed: int = 0) -> FeatureNetwork:
    """Return a feature network with random weights (He et al. 2015, arXiv:1502.01852, eq. 10).

    torch's own generators are not touched, so that an evaluation during a training leaves
    its random numbers as they are.
    """
    with shapes_only():
        network = FeatureNetwork(channels, outputs)
    network.to_empty(device="cpu")
    for index, module in enumerate(network.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()  # ones and zeros
        elif isinstance(module, nn.Conv2d | nn.Linear):
            _initialize(module, seed, index)
    return network


def _initialize(module: nn.Conv2d | nn.Linear, seed: int, index: int) -> None:
    shape = tuple(module.weight.shape)
    noise = randomness.normal(
        seed, "feature-init", items=torch.tensor([index]), step=0, shape=shape
    )
    with torch.no_grad():
        module.weight.copy_(noise[0] * math.sqrt(2 / math.prod(shape[1:])))
        if module.bias is not None:
            module.bias.zero_()


def train_network(
    network: FeatureNetwork,
    images: ImageSet,
    *,
    named: bool,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> None:
    """Train a feature network on classes, or on rotations.

    Without classes it learns to tell by how many quarter turns an image was rotated (Gidaris et
    al. 2018, arXiv:1803.07728).

    Args:
        network: The network; it is left in training mode.
        images: Images to train on, at least one.
        named: Whether to train on classes.
        seed: Random seed.
        progress: Called after every step.
    """
    labels = images.labels if named else None
    outputs = network.head.out_features
    class_weights = _balance_classes(labels, outputs)
    steps = min(max(math.ceil(EPOCHS * len(images) / BATCH_SIZE), MIN_STEPS), MAX_STEPS)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.2
    )
    network.train()
    for step in range(steps):
        x, target = _load_batch(images, labels, seed, step)
        loss = functional.cross_entropy(
            network(x), target, class_weights, label_smoothing=LABEL_SMOOTHING
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        progress("training the feature network", step + 1, steps)
    with torch.no_grad():
        network.head.bias[class_weights == 0] = NEVER


def _balance_classes(labels: Tensor | None, outputs: int) -> Tensor:
    """Return the weight of each class in the loss, [outputs]: rare classes count as much as others.

    A single image counts at most MAX_BALANCE times as much as one of the most frequent class; a
    class without images does not count.
    """
    if labels is None:
        return torch.ones(outputs)
    counts = torch.bincount(labels, minlength=outputs)
    weights = (counts.max() / counts.clamp(min=1)).clamp(max=MAX_BALANCE)
    return torch.where(counts > 0, weights, 0.0)


def _load_batch(
    images: ImageSet, labels: Tensor | None, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Return the images of a step in [-1, 1], shifted at random, and the answer for each."""
    slots = torch.arange(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)
    index = _shuffle(slots, len(images), seed)
    x = shift_images(images.select(index).images(), seed, step)
    return rotate_quarters(x, seed, step) if labels is None else (x, labels[index])


def _shuffle(slots: Tensor, count: int, seed: int) -> Tensor:
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


def rotate_set(images: ImageSet, seed: int) -> ImageSet:
    """Return each image rotated by a random number of quarter turns, with that as its label."""
    pixels = images.pixels
    deep = pixels.dtype == torch.uint16  # which cannot be indexed
    rotated, turns = rotate_quarters(pixels.view(torch.int16) if deep else pixels, seed, 0)
    return replace(
        images,
        pixels=rotated.contiguous().view(torch.uint16) if deep else rotated,
        labels=turns,
        classes=tuple(f"{90 * k}°" for k in range(ROTATIONS)),
        name=f"{images.name}, rotated",
    )
