"""Networks as a profile describes them: a function of the seed, no larger than the machine."""

import resource

import pytest
import torch

from iddm_cli.build.networks import build_backbone, build_denoiser, check_fits_device, check_size
from iddm_cli.checkpoints.tensors import specs_of
from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.engine import device
from iddm_cli.errors import UsageError
from tests.build.profiles import tiny_profile


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
        build_denoiser(tiny_profile(model=model), 2)
    assert "model.base_channels" in refused.value.hint
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"


def test_a_network_that_can_be_drawn_from_but_not_trained_is_refused(monkeypatch) -> None:
    denoiser = build_denoiser(tiny_profile(), 2)
    numbers = sum(p.numel() for p in denoiser.parameters())
    monkeypatch.setattr(device, "all_memory", lambda _: 20 * numbers)
    check_fits_device(denoiser, torch.device("cpu"), tiny_profile().model)
    monkeypatch.setattr(device, "all_memory", lambda _: 20 * numbers - 1)
    with pytest.raises(UsageError, match="too large"):
        check_fits_device(denoiser, torch.device("cpu"), tiny_profile().model)
    assert build_denoiser(tiny_profile(), 2), "four bytes for each number are there"


def test_initial_weights_are_a_function_of_the_seed():
    def weights(seed: int) -> torch.Tensor:
        denoiser = build_denoiser(tiny_profile(training={"seed": seed}), 2)
        return torch.cat([p.detach().flatten() for p in denoiser.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_specs_are_those_of_the_network_and_nothing_is_allocated_for_them():
    network = build_backbone(tiny_profile(), 2)
    assert check_size(tiny_profile(), 2) == specs_of(network.state_dict())


def test_the_denoiser_has_the_schedule_and_the_prediction_of_the_profile():
    diffusion = {"schedule": "linear", "timesteps": 50, "prediction": "x"}
    denoiser = build_denoiser(tiny_profile(diffusion=diffusion), 2)
    wanted = build_schedule("linear", 50)
    assert torch.equal(denoiser.schedule.alpha, wanted.alpha)
    assert denoiser.prediction == "x"
