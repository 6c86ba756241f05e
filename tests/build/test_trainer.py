"""What a trainer is built of."""

import pytest

from iddm_cli.build.networks import build_denoiser
from iddm_cli.build.trainer import build_consistency_objective
from tests.build.profiles import tiny_profile

GUIDED = {"teacher": "first", "guidance": 2.0, "stage_steps": 5}


@pytest.mark.parametrize("on_latents", [False, True])
def test_only_estimates_of_pixels_are_clipped_where_a_network_is_distilled(on_latents):
    latents = {"data": {"channels": 3, "encoder": "codec", "latents": [4, 4]}} if on_latents else {}
    profile = tiny_profile(distillation=GUIDED, evaluation={"loss_every": 0}, **latents)
    objective = build_consistency_objective(profile, build_denoiser(profile, 2), 2)
    assert objective.clip is objective.teacher.clip is (not on_latents)
