"""A held-out loss on random images, for tests of what is made of it."""

import torch

from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.distributed.group import SINGLE_PROCESS
from iddm_cli.engine.monitoring.held_out_loss import EvaluationImages, HeldOutLoss

CLASSES = 3


def make_images(count: int, *, seed: int = 5, side: int = 8) -> EvaluationImages:
    """Return random images; those of seed 5 are what tests/engine/test_trainer.py trains on."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, side, side), generator=generator, dtype=torch.uint8)
    return EvaluationImages(MemoryStore(pixels), torch.arange(count) % CLASSES)


def make_loss(
    *, count=12, seed=0, group=SINGLE_PROCESS, precision="fp32", side=8, **changes
) -> HeldOutLoss:
    return HeldOutLoss(
        make_images(count, seed=6, side=side),
        make_images(20, side=side),
        size=(8, 8),
        seed=seed,
        precision=precision,
        group=group,
        **changes,
    )
