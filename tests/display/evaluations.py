"""Evaluations for tests of pages and tables, with invented numbers."""

import torch

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import (
    ArmSummary,
    CanonicalNumbers,
    ClassQuality,
    ClosePair,
    Copies,
    Evaluation,
    FeatureSummary,
    Quality,
    Usefulness,
)
from tests.display.pages import HOSTILE, SCRIPT

CLASSES = (SCRIPT, HOSTILE, "<b>plain & simple")
SETTINGS = {"run": "pets", "step": 500, "sampler": "ddim", "steps": 10, "seed": 17}


def make_images(
    name: str,
    count: int = 12,
    *,
    channels: int = 3,
    side: int = 8,
    deep: bool = False,
    classes: tuple[str, ...] = CLASSES,
) -> ImageSet:
    """Return random images, the classes taking turns."""
    generator = torch.Generator().manual_seed(count)
    shape = (count, channels, side, side)
    pixels = torch.randint(0, 65536 if deep else 256, shape, generator=generator)
    labels = torch.arange(count) % len(classes) if classes else None
    levels = pixels.to(torch.uint16 if deep else torch.uint8)
    return ImageSet(name, levels, labels, classes)


def make_quality(shift: float = 0.0, classes: tuple[str, ...] = CLASSES) -> Quality:
    """Return numbers of every kind: with and without floor and interval, and nan."""
    numbers = {
        "mind": Number(0.0213 + shift, 0.0191, 0.0201 + shift, 0.0234 + shift, 431),
        "frechet": Number(1234.5, 611.0, 1200.0, 1300.0, 432),
        "kid": Number(-0.00123, -0.0001, None, None, 433),
        "precision": Number(0.814, 0.905, 0.78, 0.84, 434),
        "density": Number(float("nan"), count=435),
        "agreement": Number(0.884, 0.912, 0.86, 0.91, 436),
        "a_new_number": Number(5.25, count=437),
    }
    ranked = [
        ClassQuality(name, 4, 5, {"mind": Number(0.07 + i / 1000, 0.03, count=4)} if i else {})
        for i, name in enumerate(classes)
    ]
    size = len(classes)
    confusion = 3 * torch.eye(size, dtype=torch.int64) + torch.ones(size, size).triu(1).long()
    return Quality(numbers, tuple(ranked), confusion if size else None)


def make_copies(count: int = 12) -> Copies:
    """Return copies with three pairs, the first of which is a copy."""
    pairs = tuple(ClosePair(i, count - 1 - i, 0.123 + i / 4, i == 0) for i in range(3))
    return Copies(
        Number(0.062, 0.004, 0.05, 0.075, count), Number(0.081, 0.0, 0.07, 0.09, count),
        pairs, torch.zeros(count, dtype=torch.bool),
    )  # fmt: skip


def make_usefulness(verdict: str = "helps") -> Usefulness:
    """Return two arms."""
    arms = (
        ArmSummary("real, augmented", 60, 0, Number(0.745, None, 0.72, 0.77, 50), (0.74, 0.75)),
        ArmSummary(f"real + {SCRIPT}", 60, 30, Number(0.776, None, 0.76, 0.79, 50), (0.771, 0.781)),
    )
    gain = Number(0.031, None, 0.01, 0.052, 50)
    return Usefulness(
        arms, arms[0].name, arms[1].name, gain, verdict, {"near copies": 31}, 20, 150, 50, 2
    )


def make_evaluation(title: str = "ddim, 10 steps", shift: float = 0.0, **changes) -> Evaluation:
    """Return an evaluation with every part."""
    values = {
        "title": title,
        "settings": SETTINGS,
        "generated": make_images("generated"),
        "real": make_images("held out", 9),
        "training": make_images("training", 12),
        "features": FeatureSummary("classes", 0.873, 0.3333, 211, 52),
        "quality": make_quality(shift),
        "copies": make_copies(),
        "canonical": CanonicalNumbers(
            {"fid": Number(48.25, count=12)}, "12 against 9 images, resized.", ("too few to quote",)
        ),
        "usefulness": make_usefulness(),
        "warnings": (f"only 9 real images of {SCRIPT}",),
    }
    return Evaluation(**{**values, **changes})
