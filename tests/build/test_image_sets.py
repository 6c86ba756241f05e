"""Image sets of packs: their pixels and labels, a fixed part of large ones, and splits."""

import numpy as np
import pytest
import torch

from iddm_cli.build.image_sets import choose_images, load_image_set, split_images
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.evaluation.image_set import ImageSet
from tests.build.profiles import tiny_profile
from tests.e2e.conftest import draw_folder


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    folder = draw_folder(tmp_path / "set", {"a": 7, "b": 5}, size=(16, 16))
    data = {"path": str(folder), "image_size": 16, "channels": 3, "held_out": 0.0, "workers": 1}
    return tiny_profile(data=data)


def open_pack(profile):
    return build_pack(open_dataset(profile.data), profile.data)


@pytest.mark.parametrize("cache", ["disk", "off"])
def test_the_images_are_those_of_the_pack(profile, cache):
    data = profile.data.model_copy(update={"cache": cache})
    profile = profile.model_copy(update={"data": data})
    pack = open_pack(profile)
    images = load_image_set(profile, pack, name="photos", most=100)
    assert images.pixels.shape == (12, 3, 16, 16)
    assert images.labels.tolist() == pack.labels.tolist()
    assert images.classes == ("a", "b")
    assert images.names == tuple(pack.names)
    if cache == "disk":
        stored = np.fromfile(pack.images_path, np.uint8).reshape(12, 3, 16, 16)
        assert (images.pixels.numpy() == stored).all()


def test_of_many_images_a_fixed_part_is_read(profile):
    pack = open_pack(profile)
    everything = load_image_set(profile, pack, name="photos", most=100)
    part = load_image_set(profile, pack, name="photos", most=5)
    chosen = choose_images(12, 5)
    assert torch.equal(part.pixels, everything.pixels[chosen])
    assert part.names == tuple(everything.names[i] for i in chosen.tolist())
    assert chosen.tolist() != list(range(5))


def make_set(count: int, labels=None, *, equal: int = 0) -> ImageSet:
    pixels = torch.arange(count * 4).remainder(251).to(torch.uint8).view(count, 1, 2, 2)
    pixels[:equal] = 7
    labels = None if labels is None else torch.tensor(labels)
    return ImageSet("set", pixels, labels, () if labels is None else ("a", "b"))


def test_a_split_takes_a_share_of_each_class():
    rest, held_out = split_images(make_set(50, [0] * 40 + [1] * 10), 0.3)
    assert held_out.labels.bincount().tolist() == [12, 3]
    assert rest.labels.bincount().tolist() == [28, 7]


def test_a_split_does_not_depend_on_the_order():
    images = make_set(20)
    shuffled = images.select(torch.arange(20).flip(0))
    ours, theirs = (
        {tuple(pixels.flatten().tolist()) for pixels in split_images(one, 0.4)[1].pixels}
        for one in (images, shuffled)
    )
    assert len(ours) == 8
    assert ours == theirs


def test_equal_images_are_on_one_side():
    for equal in (2, 5, 12, 20):
        rest, held_out = split_images(make_set(20, equal=equal), 0.5)
        assert len(rest) + len(held_out) == 20
        both = [{tuple(p.flatten().tolist()) for p in side.pixels} for side in (rest, held_out)]
        assert both[0].isdisjoint(both[1])


def test_a_class_of_one_image_stays_with_the_rest():
    rest, held_out = split_images(make_set(3, [0, 0, 1]), 0.5)
    assert sorted(rest.labels.tolist()) == [0, 1]
    assert held_out.labels.tolist() == [0]
