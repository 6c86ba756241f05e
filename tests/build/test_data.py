"""The images of a profile: kept where data.cache says, and where they fit."""

from types import SimpleNamespace

import pytest
import torch

from iddm_cli.build.data import (
    DEVICE_DATA_SHARE,
    build_condition,
    build_conditioned_augmentation,
    choose_cache,
)
from iddm_cli.data.loader.low_resolution import LowResolutionCondition
from iddm_cli.engine import device
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from tests.build.profiles import TINY, tiny_profile

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
SIZE = 1000


def choose(cache: str, where: torch.device, *, stored: bool = True) -> str:
    pack = SimpleNamespace(record=SimpleNamespace(stored=stored), pixels_bytes=SIZE)
    return choose_cache(DataSettings(cache=cache), pack, where)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch):
    """Set the free memory of every device, in bytes."""

    def set_free(count: int) -> None:
        monkeypatch.setattr(device, "free_memory", lambda _: count)

    return set_free


def test_images_of_noise_lie_nowhere_and_others_need_no_condition_unless_they_upscale():
    batches = SimpleNamespace(store=None, indices=None)
    data = {"channels": 3, "crop": 16, "crop_position": True}
    blank = build_condition(tiny_profile(data=data), batches)
    assert not blank(torch.ones(2, 3, 16, 16), 0, torch.arange(2)).any()
    assert build_condition(tiny_profile(), batches) is None
    upscaler = tiny_profile(model={**TINY, "condition": "low_resolution"})
    assert isinstance(build_condition(upscaler, batches), LowResolutionCondition)


@pytest.mark.parametrize("augment", ["off", 0.0])
def test_without_augmentation_nothing_is_built(augment):
    data = {"channels": 3, "image_size": 16, "augment": augment}
    assert build_conditioned_augmentation(tiny_profile(data=data)) is None


def test_augmentation_is_a_function_of_the_seed():
    def change(seed: int) -> torch.Tensor:
        data = {"channels": 3, "image_size": 16, "augment": 0.5}
        profile = tiny_profile(data=data, training={"seed": seed})
        augment = build_conditioned_augmentation(profile)
        return augment(torch.zeros(8, 3, 16, 16), 2, torch.arange(8))[1]

    assert torch.equal(change(1), change(1))
    assert not torch.equal(change(1), change(2))


def test_auto_keeps_images_on_a_gpu_that_has_ample_room_and_else_on_disk(free):
    free(int(SIZE / DEVICE_DATA_SHARE) + 1)
    assert choose("auto", GPU) == "device"
    assert choose("auto", CPU) == "disk"
    free(int(SIZE / DEVICE_DATA_SHARE))
    assert choose("auto", GPU) == "disk"


@pytest.mark.parametrize("cache", ["memory", "device"])
def test_a_memory_without_room_is_refused_with_both_sizes(free, cache):
    free(SIZE)
    assert choose(cache, GPU) == cache
    free(SIZE - 1)
    with pytest.raises(DatasetError, match=f"data.cache: {cache}") as refused:
        choose(cache, GPU)
    assert "data.cache to disk" in refused.value.hint


@pytest.mark.parametrize("cache", ["auto", "memory", "disk"])
def test_a_pack_without_pixels_is_decoded_in_every_epoch(free, cache):
    free(10 * SIZE)
    assert choose(cache, CPU, stored=False) == "off"
    assert choose("off", CPU) == "off"
