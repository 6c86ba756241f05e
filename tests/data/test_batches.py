"""Batches: every epoch shows every picture once, however the slots are computed."""

import pytest
import torch

from iddm_cli.data.batches import Batches, open_pixels, to_unit

COUNT = 10


def make(batch_size: int, mirrored=None) -> Batches:
    pixels = torch.arange(COUNT * 6, dtype=torch.uint8).view(COUNT, 1, 2, 3)

    def order(epoch: int) -> torch.Tensor:
        return torch.randperm(COUNT, generator=torch.Generator().manual_seed(epoch))

    return Batches(
        pixels, torch.arange(COUNT), batch_size=batch_size, order=order, mirrored=mirrored
    )


@pytest.mark.parametrize("batch_size", [1, 3, 10, 25])
def test_every_epoch_shows_every_picture_once(batch_size):
    batches = make(batch_size)
    slots = torch.arange(batch_size)
    steps = -(-3 * COUNT // batch_size)
    seen = torch.cat([batches.indices(step, slots) for step in range(steps)])[: 3 * COUNT]
    epochs = seen.view(3, COUNT)
    assert all(sorted(epoch.tolist()) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3, "each in another order"


def test_slots_hold_the_same_pictures_in_any_company():
    batches = make(8, mirrored=lambda step, slots: (slots + step) % 3 == 0)
    x, label = batches.at(5, torch.arange(8))
    for slot in range(8):
        alone, its_label = batches.at(5, torch.tensor([slot]))
        assert torch.equal(alone[0], x[slot])
        assert its_label[0] == label[slot]


def test_pictures_keep_their_labels_and_flips_are_left_to_right():
    plain, flipped = make(8), make(8, mirrored=lambda step, slots: slots % 2 == 0)
    slots = torch.arange(8)
    x, label = plain.at(2, slots)
    assert torch.equal(x[:, 0, 0, 0], to_unit((label * 6).to(torch.uint8)))
    y, _ = flipped.at(2, slots)
    assert torch.equal(y[::2], x[::2].flip(3))
    assert torch.equal(y[1::2], x[1::2])


def test_pixels_span_minus_one_to_one():
    assert to_unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


def test_a_pack_is_mapped_as_it_was_written(tmp_path):
    pixels = torch.randint(0, 256, (4, 3, 5, 7), dtype=torch.uint8)
    path = tmp_path / "images.u8"
    path.write_bytes(pixels.numpy().tobytes())
    mapped = open_pixels(path, (4, 3, 5, 7))
    assert torch.equal(mapped, pixels)
    mapped[0] = 0
    assert path.read_bytes() == pixels.numpy().tobytes(), "the file stays as it is"
