"""Stripes of three directions in noise: a small problem that more images make easier."""

import pytest
import torch

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.usefulness import classifier, study

CLASSES = ("across", "down", "slanting")
SIDE = 12


def make_images(name: str, per_class: int, *, seed: int, noise: float = 2.0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    images = []
    for ramp in (rows, columns, rows + columns):
        phase = 2 * torch.pi * torch.rand(per_class, 1, 1, generator=generator)
        grain = torch.randn(per_class, SIDE, SIDE, generator=generator)
        images.append(128 + 40 * (torch.sin(1.3 * ramp + phase) + noise * grain))
    pixels = torch.cat(images).clamp(0, 255).to(torch.uint8)[:, None]
    labels = torch.arange(len(CLASSES)).repeat_interleave(per_class)
    return ImageSet(name, pixels, labels, CLASSES)


def repeat(images: ImageSet, times: int) -> ImageSet:
    return images.select(torch.arange(len(images)).repeat(times))


@pytest.fixture
def quick(monkeypatch):
    """Make every classifier tiny and its training as short as the test wants."""

    def choose(updates: int) -> None:
        monkeypatch.setattr(classifier, "WIDTH", 8)
        monkeypatch.setattr(study, "MIN_UPDATES", updates)
        monkeypatch.setattr(study, "MAX_UPDATES", updates)

    return choose
