"""Pixel search: planted copies are found, whatever happened to them, and nothing else is."""

import pytest
import torch

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.neighbours import pixel_search, reduced_images
from iddm_cli.evaluation.neighbours.pixel_search import PixelSearch
from iddm_cli.evaluation.neighbours.windows import contrast, middle_window, shifted_distances
from tests.evaluation.planted import CHANGES, FASHION, add_noise, fashion, textures

COPIED = torch.arange(0, 300, 10)


@pytest.fixture(scope="module", params=[1, 3])
def training(request):
    return ImageSet("training images", textures(300, channels=request.param))


@pytest.fixture(scope="module")
def search(training):
    return PixelSearch(training)


@pytest.mark.parametrize("change", CHANGES)
def test_planted_copies_are_found_whatever_happened_to_them(search, training, change):
    found = search.find_nearest(ImageSet("planted", CHANGES[change](training.pixels[COPIED])))
    assert found.is_copy.all()
    assert found.nearest.equal(COPIED)


def test_other_images_of_the_kind_are_no_copies(search, training):
    channels = training.pixels.shape[1]
    found = search.find_nearest(ImageSet("others", textures(200, channels=channels, seed=1)))
    assert found.is_copy.float().mean() <= 0.01


@pytest.mark.skipif(not FASHION.exists(), reason="Fashion-MNIST-small is not here")
@pytest.mark.parametrize("change", CHANGES)
def test_copies_of_clothes_are_told_from_clothes_that_look_alike(fashion_search, change):
    search, training, held_out = fashion_search
    copied = torch.arange(0, 600, 12)
    planted = ImageSet("planted", CHANGES[change](training.pixels[copied]))
    assert search.find_nearest(planted).is_copy.all()
    assert search.find_nearest(held_out).is_copy.float().mean() <= 0.01


@pytest.fixture(scope="module")
def fashion_search():
    training = fashion("train", 60)
    return PixelSearch(training), training, fashion("test", 10)


@pytest.mark.parametrize("repeated", ["nothing", "mirrored", "noisy", "JPEG"])
def test_repetitions_in_the_training_set_do_not_hide_a_copy(training, repeated):
    again = CHANGES[repeated](training.pixels[:5])
    doubled = ImageSet("training images", torch.cat([training.pixels, again, again]))
    found = PixelSearch(doubled).find_nearest(ImageSet("planted", training.pixels[:5]))
    assert found.is_copy.all()


def test_an_image_that_is_repeated_a_hundred_times_hides_no_copy():
    one = textures(1)
    training = ImageSet("training images", torch.cat([one.expand(100, -1, -1, -1), textures(20)]))
    search = PixelSearch(training)
    assert search.originals.tolist() == [0, *range(101, 120)]
    assert search.find_nearest(ImageSet("planted", add_noise(one))).is_copy.all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_images_are_no_copies_though_the_training_set_has_some(training, level):
    flat = torch.full_like(training.pixels[:4], level)
    flat[1:] += torch.arange(1, 4, dtype=torch.uint8)[:, None, None, None] % 2
    faint = flat.clone()
    faint[:, :, 10:12, 10:12] ^= 1
    pixels = torch.cat([training.pixels, flat[:1], faint[1:2]])
    search = PixelSearch(ImageSet("training images", pixels))
    found = search.find_nearest(ImageSet("planted", torch.cat([flat, faint])))
    assert not found.is_copy.any()
    assert search.is_flat(ImageSet("planted", torch.cat([flat, faint]))).all()


def test_a_tint_is_nothing_that_could_be_copied():
    tint = torch.tensor([0, 200, 90], dtype=torch.uint8)[:, None, None]
    training = textures(40, channels=3)
    training[0] = tint
    tinted = textures(40, channels=3, seed=1) // 8 + tint
    training[1] = textures(1, channels=3, seed=2)[0] // 8 + tint
    search = PixelSearch(ImageSet("training images", training))
    assert search.is_flat(ImageSet("tint", training[:1])).all()
    assert not search.find_nearest(ImageSet("tint", training[:1])).is_copy.any()
    assert not search.find_nearest(ImageSet("tinted", tinted)).is_copy.any()


@pytest.mark.parametrize(("share", "is_flat"), [(0.95, True), (1.05, False)])
def test_below_a_share_of_the_typical_contrast_images_are_flat(share, is_flat):
    training = ImageSet("training images", (textures(40).int() * 257).to(torch.uint16))
    search = PixelSearch(training)
    reduced = middle_window(reduced_images.reduce_images(training))
    scale = share * search.flat / contrast(reduced)[:, None, None, None]
    faint = ((training.pixels.float() - 2**15) * scale + 2**15).to(torch.uint16)
    found = search.find_nearest(ImageSet("faint images", faint))
    assert found.is_copy.tolist() == [not is_flat] * 40


def test_a_training_set_of_flat_images_makes_no_copies():
    flat = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 32, 32)
    found = PixelSearch(ImageSet("training images", flat)).find_nearest(ImageSet("flat", flat))
    assert not found.is_copy.any()


def test_low_contrast_is_the_kind_of_images_that_these_are(training):
    faint = (training.pixels.float() / 20 + 100).to(torch.uint8)
    search = PixelSearch(ImageSet("training images", faint))
    assert search.find_nearest(ImageSet("planted", faint[COPIED])).is_copy.all()


@pytest.mark.parametrize("count", [1, 2])
def test_of_one_or_two_training_images_copies_are_found(count):
    training = textures(count)
    search = PixelSearch(ImageSet("training images", training))
    planted = search.find_nearest(ImageSet("planted", CHANGES["everything"](training)))
    assert planted.is_copy.all()
    others = search.find_nearest(ImageSet("others", textures(50, seed=1)))
    assert not others.is_copy.any()


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (256, 256), (40, 200)])
@pytest.mark.parametrize("channels", [1, 4])
def test_all_sizes_are_searched(shape, channels):
    pixels = textures(12, side=256, channels=channels)[:, :, : shape[0], : shape[1]]
    found = PixelSearch(ImageSet("training images", pixels)).find_nearest(ImageSet("same", pixels))
    assert found.nearest.tolist() == list(range(12))


def test_deep_images_are_searched(training):
    deep = ImageSet("deep", (training.pixels.int() * 257).to(torch.uint16))
    found = PixelSearch(deep).find_nearest(deep.select(COPIED))
    assert found.is_copy.all()
    assert found.nearest.equal(COPIED)


def test_images_that_are_not_kept_in_memory_give_the_same(training, search, monkeypatch):
    monkeypatch.setattr(reduced_images, "KEPT_NUMBERS", 0)
    planted = ImageSet("planted", add_noise(training.pixels[COPIED]))
    anew = PixelSearch(training).find_nearest(planted)
    assert anew.ratio.equal(search.find_nearest(planted).ratio)


def test_candidates_hold_the_nearest_of_all_images(search, training):
    queries = ImageSet("others", textures(40, channels=training.pixels.shape[1], seed=2))
    found = search.find_nearest(queries)
    reduced = reduced_images.reduce_images(queries)
    every = search._images.read(search.originals)[None].expand(len(queries), -1, -1, -1, -1)
    norms = search._norms[None].expand(len(queries), -1, -1)
    nearest = shifted_distances(reduced, every, norms, flat=search.flat).argmin(dim=1)
    assert (found.nearest == nearest).float().mean() >= 0.9


def test_progress_ends_at_the_number_of_images(training):
    told = []
    search = PixelSearch(training, lambda *report: told.append(report))
    assert told[-1] == ("reading the training images", 300, 300)
    search.find_nearest(ImageSet("planted", training.pixels[:40]), lambda *r: told.append(r))
    stage = "comparing the pixels of planted with the training images"
    assert told[-2:] == [(stage, pixel_search.LARGEST_BATCH, 40), (stage, 40, 40)]


def test_no_image_has_no_nearest_one(search, training):
    assert len(search.find_nearest(training.select(torch.zeros(300, dtype=torch.bool))).ratio) == 0
