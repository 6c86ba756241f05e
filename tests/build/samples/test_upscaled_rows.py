"""Upscaled rows: held-out images of each class, always the same, with what they were made from."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.build.samples import upscaled_rows
from iddm_cli.build.samples.upscaled_rows import Original, choose_originals, upscale_originals
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine.image_generator import ImageGenerator
from tests.build.profiles import TINY, tiny_profile


def make_pack(labels, held_out=None) -> SimpleNamespace:
    others = None if held_out is None else make_pack(held_out)
    return SimpleNamespace(labels=np.array(labels), held_out=others)


def test_originals_are_the_first_held_out_images_of_each_class():
    pack = make_pack([0, 0, 0], held_out=[1, 0, 1, 1])
    assert choose_originals(pack, [0, 1], 2) == [
        Original(1, 0, 0), Original(1, 0, 1), Original(0, 1, 0), Original(2, 1, 1),
    ]  # fmt: skip
    assert [one.row for one in choose_originals(make_pack([0, 1, 0]), [0], 2)] == [0, 2]


def test_a_class_of_which_none_is_held_out_shows_others():
    pack = make_pack([0, 1], held_out=[0, 0])
    assert [one.row for one in choose_originals(pack, [1], 3)] == [0, 1, 0]


@pytest.mark.parametrize("share", [slice(0, 3), slice(1, 2)])
def test_each_row_has_the_smaller_image_the_upscaled_one_and_the_original(monkeypatch, share):
    pixels = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    monkeypatch.setattr(upscaled_rows, "build_store", lambda *_: MemoryStore(pixels))
    profile = tiny_profile(
        model={**TINY, "condition": "low_resolution"}, sampling={"steps": 2, "batch_size": 2}
    )
    generator = ImageGenerator(
        build_denoiser(profile, 0), profile.sampling, num_classes=0, shape=profile.data.shape
    )
    originals = choose_originals(make_pack([0, 0, 0]), [0], 3)[share]
    rows = upscale_originals(profile, make_pack([0, 0, 0]), generator, originals, seed=0)
    assert len(rows) == len(originals)
    for original, (smaller, upscaled, whole) in zip(originals, rows, strict=True):
        assert torch.equal(whole, pixels[original.row].permute(1, 2, 0))
        assert upscaled.shape == smaller.shape == whole.shape
        assert torch.equal(smaller[::4].repeat_interleave(4, 0), smaller), "rows of squares"
