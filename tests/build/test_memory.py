"""The seam: what a profile asks for is held against the machine before anything is computed."""

import contextlib
import resource
from types import SimpleNamespace

import pytest
import torch

from iddm_cli.build.compute import ComputeContext, check_divisible
from iddm_cli.build.memory import MEMORY_SHARE, estimate_run_memory, largest_micro_batch
from iddm_cli.build.networks import build_denoiser, check_fits_device
from iddm_cli.engine import device
from iddm_cli.errors import UsageError
from iddm_cli.profiles.profile import ResolvedProfile

SMALL = {"base_channels": 8, "norm_groups": 4, "head_channels": 8, "channel_multipliers": [1, 2],
         "attention_levels": [1]}  # fmt: skip


def profile(**changes: dict) -> ResolvedProfile:
    data = {"channels": 3, "image_size": 16}
    return ResolvedProfile.model_validate({"data": data, "model": SMALL, **changes})


@pytest.mark.parametrize(
    "model",
    [
        {"base_channels": 4096, "channel_multipliers": [16, 16], "attention_levels": []},
        {"base_channels": 4096, "channel_multipliers": [1, 8, 64], "blocks_per_level": 64},
    ],
    ids=["wide", "deep"],
)
def test_a_network_larger_than_the_machine_is_refused_before_it_is_made(model) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match="the network is too large: it takes") as refused:
        build_denoiser(profile(model=model), 2)
    assert "model.base_channels" in refused.value.hint
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"


def test_a_network_that_can_be_drawn_from_but_not_trained_is_refused(monkeypatch) -> None:
    denoiser = build_denoiser(profile(), 2)
    numbers = sum(p.numel() for p in denoiser.parameters())
    monkeypatch.setattr(device, "all_memory", lambda _: 20 * numbers)
    check_fits_device(denoiser, torch.device("cpu"))
    monkeypatch.setattr(device, "all_memory", lambda _: 20 * numbers - 1)
    with pytest.raises(UsageError, match="too large"):
        check_fits_device(denoiser, torch.device("cpu"))
    assert build_denoiser(profile(), 2), "four bytes for each number are there"


@pytest.mark.parametrize(
    ("sharding", "micro_batch", "batch_size", "said"),
    [
        ("none", None, 5, ""),
        ("none", 2, 5, ""),
        ("none", None, 1, "cannot be divided among 2 processes"),
        ("fsdp", None, 5, ""),
        ("fsdp", 2, 6, ""),
        ("fsdp", 2, 7, ""),
        ("fsdp", 2, 5, "2 micro-batches of up to 2 and others 1"),
    ],
)
def test_a_batch_that_two_cannot_share_is_refused(sharding, micro_batch, batch_size, said) -> None:
    training = {"steps": 1, "batch_size": batch_size, "micro_batch": micro_batch}
    asked = profile(training=training, runtime={"sharding": sharding})
    check_divisible(asked, 1)
    with pytest.raises(UsageError, match=said) if said else contextlib.nullcontext():
        check_divisible(asked, 2)


@pytest.mark.parametrize("batch_size", [64, 48])
def test_auto_takes_as_many_pictures_as_fit_by_the_estimate(monkeypatch, batch_size) -> None:
    chosen = profile(training={"micro_batch": "auto", "batch_size": batch_size})
    pack = SimpleNamespace(
        classes=("a",), pixels_bytes=0, record=SimpleNamespace(stored=True), channels=3
    )
    place = ComputeContext(torch.device("cpu"), "fp32")
    found = estimate_run_memory(chosen, pack, place)
    one = found.activations / batch_size
    rest = found.total - found.activations
    for most in (1000, 20, 3, 0.5):
        free = (rest + most * one) / MEMORY_SHARE + 1
        monkeypatch.setattr(device, "free_memory", lambda _, free=free: free)
        size = largest_micro_batch(chosen, pack, place)
        assert size <= max(1, most)
        assert size == batch_size or 2 * size > most or size == 1, "not smaller than it must be"
