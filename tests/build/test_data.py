"""The images of a profile: kept where data.cache says, and where they fit."""

from types import SimpleNamespace

import pytest
import torch

from iddm_cli.build.data import DEVICE_DATA_SHARE, choose_cache
from iddm_cli.engine import device
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

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
