"""Networks as a profile describes them: a function of the seed, no larger than the machine."""

import math
import resource

import pytest
import torch

from iddm_cli.build.networks import build_backbone, build_denoiser, check_fits_device, check_size
from iddm_cli.checkpoints.tensors import specs_of
from iddm_cli.diffusion.lookup import build_profile_schedule, build_schedule
from iddm_cli.engine import device
from iddm_cli.engine.sampling.solver_choice import build_solver_table
from iddm_cli.errors import UsageError
from iddm_cli.networks.skeleton import shapes_only
from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.model_settings import DiTSettings
from tests.build.profiles import TINY, tiny_profile
from tests.profiles.test_loading import SHIPPED


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


@pytest.mark.parametrize("name", SHIPPED)
def test_the_network_of_every_shipped_profile_fits_its_images(name):
    profile = load_profile(name, []).resolve(3)
    with shapes_only():
        network = build_backbone(profile, 10)
        x_t = torch.zeros(2, *profile.data.shape)
        one = torch.zeros(2, dtype=torch.int64)
        assert network(x_t, one, one).shape == x_t.shape


def test_the_network_of_the_ddpm_paper_has_its_parameters():
    """35.7 million by the paper (appendix B); google/ddpm-cifar10-32 has exactly as many."""
    specs = check_size(load_profile("ddpm-2020", []).resolve(3), 0)
    assert sum(math.prod(shape) for shape, _ in specs.values()) == 35_746_307


def test_the_ema_and_the_sampler_of_edm_are_those_of_its_paper():
    profile = load_profile("edm-2022", []).resolve(3)
    training = profile.training
    half_life = math.log(0.5) / math.log(training.ema_decay) * training.batch_size
    assert half_life == pytest.approx(500_000, rel=0.01)
    assert training.steps * training.batch_size == 200_000_000
    schedule = build_profile_schedule(profile.diffusion)
    table = build_solver_table(profile.sampling, schedule)
    assert len(table) == 35
    levels = (schedule.sigma / schedule.alpha)[torch.as_tensor(table.times)[::2]]
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    wanted = torch.tensor([(high + i / 17 * (low - high)) ** 7 for i in range(18)])
    torch.testing.assert_close(levels.float(), wanted, rtol=0.02, atol=0)


def test_the_hint_for_a_transformer_names_its_own_settings():
    model = {"network": "dit", "width": 4096, "head_channels": 4096, "depth": 256}
    assert DiTSettings.model_validate(model)
    with pytest.raises(UsageError) as refused:
        check_size(tiny_profile(model=model | {"mlp_ratio": 32.0}), 2)
    assert refused.value.hint == "Choose a smaller model.width or model.depth."


@pytest.mark.parametrize(
    "model",
    [
        TINY,
        {"network": "dit", "width": 16, "depth": 1, "head_channels": 8, "patch_size": 4},
    ],
    ids=lambda model: model.get("network", "unet"),
)
def test_a_network_that_upscales_reads_the_smaller_image_and_its_noise_level(model):
    profile = tiny_profile(model={**model, "condition": "low_resolution"})
    denoiser = build_denoiser(profile, 0).eval()
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    assert profile.input_shape == (7, 16, 16)
    x_t, t = torch.randn(1, 7, 16, 16), torch.tensor([500])
    estimates = [denoiser(x_t, t, torch.zeros_like(t))]
    for channel in (3, 6):
        changed = x_t.clone()
        changed[:, channel] += 0.5
        estimates.append(denoiser(changed, t, torch.zeros_like(t)))
    assert estimates[0].shape == (1, 3, 16, 16)
    assert all(not torch.allclose(estimates[0], other) for other in estimates[1:])


def test_the_network_of_iddm_can_upscale_as_well():
    model = {"network": "iddm-unet", "condition": "low_resolution"}
    with shapes_only():
        network = build_backbone(tiny_profile(model=model), 0)
    assert [layer.weight.shape[1] for layer in network.edge_layers()] == [7, 64]
