"""Schedulers of diffusers: matched by their numbers, refused by their keys."""

import json

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    ScoreSdeVeScheduler,
)

from iddm_cli.build.importing import import_model
from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.errors import CheckpointError
from iddm_cli.importing.diffusers_scheduler import parse_scheduler
from iddm_cli.importing.options import ImportOptions
from tests.importing.diffusers_folders import network


@pytest.mark.parametrize("scheduler", [DDPMScheduler, DDIMScheduler, EulerDiscreteScheduler])
@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({}, "linear"),
        ({"beta_schedule": "squaredcos_cap_v2"}, "cosine"),
        ({"beta_schedule": "scaled_linear"}, "sqrt_linear"),
        ({"num_train_timesteps": 100, "beta_start": 1e-3, "beta_end": 0.2}, "linear"),
        ({"trained_betas": torch.linspace(1e-4, 0.02, 1000).tolist()}, "linear"),
    ],
)
def test_a_schedule_is_known_by_its_numbers(tmp_path, scheduler, config, name):
    made = scheduler(**config)
    made.save_pretrained(tmp_path / "scheduler")
    network().save_pretrained(tmp_path / "unet")
    diffusion = import_model(tmp_path, ImportOptions()).profile.diffusion
    assert diffusion.schedule == name
    assert diffusion.timesteps == len(made.betas)
    wanted = made.alphas_cumprod.double()
    alpha, _, _ = build_schedule(name, diffusion.timesteps).levels
    torch.testing.assert_close(alpha**2, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (DDPMScheduler(beta_schedule="sigmoid"), "beta_schedule 'sigmoid'"),
        (DDPMScheduler(beta_end=0.03), "beta_schedule 'linear' with these betas"),
        (DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
         "beta_schedule 'scaled_linear' with these betas"),
        (DDPMScheduler(rescale_betas_zero_snr=True), "rescale_betas_zero_snr must be False"),
        (DDPMScheduler(clip_sample_range=2.0), "clip_sample_range must be 1.0"),
        (ScoreSdeVeScheduler(), "a ScoreSdeVeScheduler"),
    ],
    ids=["sigmoid", "end", "latent", "zero", "range", "other"],
)  # fmt: skip
def test_another_noise_is_refused_by_name(tmp_path, made, said):
    made.save_pretrained(tmp_path / "scheduler")
    network().save_pretrained(tmp_path / "unet")
    with pytest.raises(CheckpointError, match=said):
        import_model(tmp_path, ImportOptions())


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, (True, 0.0)),
        ({"thresholding": True, "clip_sample": False}, (True, 0.0)),  # its limit is 1: it clips
        ({"thresholding": True, "sample_max_value": 9.0}, (True, 0.995)),
    ],
)
def test_dynamic_thresholding_is_known(config, wanted):
    sampling = parse_scheduler({"_class_name": "DDIMScheduler", **config})["sampling"]
    assert (sampling["clip"], sampling["threshold"]) == wanted


@pytest.mark.parametrize(
    "changes",
    [{"beta_start": "x"}, {"num_train_timesteps": 10**9}, {"trained_betas": [0.1, 7]},
     {"trained_betas": "aaa"}, {"num_train_timesteps": None}, {"beta_end": 1e400},
     {"prediction_type": "flow"}, {"prediction_type": []},
     {"thresholding": True, "sample_max_value": "x"},
     {"thresholding": True, "sample_max_value": 9, "dynamic_thresholding_ratio": 2}],
    ids=str,
)  # fmt: skip
def test_a_damaged_scheduler_is_one_sentence(tmp_path, changes):
    network().save_pretrained(tmp_path / "unet")
    config = {"_class_name": "DDPMScheduler", **changes}
    (tmp_path / "unet" / "scheduler_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="scheduler: "):
        import_model(tmp_path, ImportOptions())
