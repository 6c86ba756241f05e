"""Places of generated images; that networks read them right is in tests/laws/test_positions.py."""

import torch

from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine.sampling.crop_places import CropPlaces, PlacedBatch
from iddm_cli.engine.sampling.known_images import KnownBatch
from iddm_cli.engine.sampling.sample_noise import NoisePath

CPU = torch.device("cpu")
PLACES = CropPlaces((20, 31))


def find_corner(coordinates) -> list[float]:
    """Return top and left of a crop from its coordinates."""
    x, y = coordinates[:, 0, 0].tolist()
    return [(y + 1) / 2 * 20 - 0.5, (x + 1) / 2 * 31 - 0.5]


def build(items, seed=0, size=(4, 6)):
    return PLACES.build_condition(items, seed, size, CPU)


def test_every_place_is_taken_and_none_lies_outside():
    corners = torch.tensor([find_corner(one) for one in build(range(2000))])
    torch.testing.assert_close(corners, corners.round(), atol=1e-4, rtol=0)
    tops, lefts = (corners[:, i].round().unique().tolist() for i in (0, 1))
    assert (tops, lefts) == ([*range(17)], [*range(26)])


def test_an_image_as_large_as_the_whole_one_lies_at_its_corner():
    whole = build([0, 5], size=(20, 31))
    assert torch.equal(whole[0], whole[1])
    assert find_corner(whole[0]) == [0, 0] or torch.allclose(
        torch.tensor(find_corner(whole[0])), torch.zeros(2), atol=1e-4
    )


def test_an_image_between_two_noises_lies_between_their_places():
    start, end, between = build([3, 8, NoisePath(3, 8, 0.25)])
    torch.testing.assert_close(between, 0.75 * start + 0.25 * end)
    assert not torch.equal(start, end)
    assert torch.equal(build([NoisePath(3, 8, 0.0)])[0], start)


def test_the_middle_is_as_far_from_all_borders():
    middle = PLACES.build_middle(2, (4, 6), CPU)
    assert middle.shape == (2, 2, 4, 6)
    torch.testing.assert_close(middle, -middle.flip(2, 3))


def test_known_images_are_kept_at_their_places():
    levels = torch.randint(0, 256, (2, 1, 4, 6), dtype=torch.uint8)
    mask = torch.zeros(2, 1, 4, 6, dtype=torch.bool)
    mask[:, :, :2] = True
    known = KnownBatch(levels, torch.rand(2, 1, 4, 6), 1.0, mask)
    coordinates, seen = build([0, 1]), []

    def denoise(x_t, t, label):
        seen.append(x_t)
        return x_t[:, :1] + 1

    batch = PlacedBatch(coordinates, known)
    x_t, t = torch.rand(2, 1, 4, 6), torch.zeros(2).long()
    estimate = batch.keep(denoise)(x_t, t, t)
    assert torch.equal(seen[0], torch.cat([x_t, coordinates], 1))
    assert torch.equal(estimate, torch.where(mask, x_t + 1, known.x))
    schedule, pixels = cosine_schedule(10), torch.zeros(2, 4, 6, 1, dtype=torch.uint8)
    assert torch.equal(batch.begin(x_t, schedule, 9), known.begin(x_t, schedule, 9))
    assert torch.equal(batch.paste(pixels), known.paste(pixels))
    assert batch.find_result() is None
    whole = KnownBatch(levels, known.x, 0.0, None)
    assert torch.equal(PlacedBatch(coordinates, whole).find_result(), whole.pixels())
