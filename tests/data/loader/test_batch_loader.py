"""Batches: every epoch shows every image once, however the slots are computed."""

import pytest
import torch

from iddm_cli.data.loader.batch_loader import BatchLoader, normalize
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine.image_generator import to_pixels

COUNT = 10


def make(batch_size: int, augment=None) -> BatchLoader:
    pixels = torch.arange(COUNT * 6, dtype=torch.uint8).view(COUNT, 1, 2, 3)

    def order(epoch: int) -> torch.Tensor:
        return torch.randperm(COUNT, generator=torch.Generator().manual_seed(epoch))

    store = MemoryStore(pixels)
    return BatchLoader(
        store, torch.arange(COUNT), batch_size=batch_size, order=order, augment=augment
    )


def mirror_some(x: torch.Tensor, step: int, slots: torch.Tensor) -> torch.Tensor:
    return torch.where(((slots + step) % 3 == 0)[:, None, None, None], x.flip(3), x)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 25])
def test_every_epoch_shows_every_image_once(batch_size):
    batches = make(batch_size)
    slots = torch.arange(batch_size)
    steps = -(-3 * COUNT // batch_size)
    seen = torch.cat([batches.indices(step, slots) for step in range(steps)])[: 3 * COUNT]
    epochs = seen.view(3, COUNT)
    assert all(sorted(epoch.tolist()) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3, "each in another order"


def test_slots_hold_the_same_images_in_any_company():
    batches = make(8, augment=mirror_some)
    x, label = batches.load_batch(5, torch.arange(8))
    for slot in range(8):
        alone, its_label = batches.load_batch(5, torch.tensor([slot]))
        assert torch.equal(alone[0], x[slot])
        assert its_label[0] == label[slot]


def test_images_keep_their_labels_and_are_changed_by_step_and_slot():
    plain, changed = make(8), make(8, augment=mirror_some)
    slots = torch.arange(8)
    x, label = plain.load_batch(2, slots)
    assert torch.equal(x[:, 0, 0, 0], normalize((label * 6).to(torch.uint8)))
    y, its_label = changed.load_batch(2, slots)
    assert torch.equal(y, mirror_some(x, 2, slots))
    assert torch.equal(its_label, label)


def test_pixels_span_minus_one_to_one():
    assert normalize(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


@pytest.mark.parametrize(("dtype", "levels"), [(torch.uint8, 255), (torch.uint16, 65_535)])
def test_levels_survive_the_way_to_numbers_and_back(dtype, levels):
    every = torch.arange(levels + 1, dtype=torch.int32).to(dtype)
    x = normalize(every)
    assert (x[0], x[-1]) == (-1, 1)
    assert x.dtype == torch.float32
    assert torch.equal(to_pixels(x, levels).int(), every.int())
