"""The adversarial loss of a profile: what it is built of, and what it takes."""

from types import SimpleNamespace

import pytest
import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.latents.discriminator_setup import (
    build_adversarial_objective,
    check_discriminator,
)
from iddm_cli.build.memory import estimate_run_memory
from iddm_cli.engine import memory as engine_memory
from iddm_cli.errors import UsageError
from iddm_cli.profiles.profile import Profile, ResolvedProfile

CPU = torch.device("cpu")
SMALL = {
    "network": "autoencoder", "downsampling": 4, "base_channels": 8, "norm_groups": 4,
    "discriminator_channels": 8, "discriminator_start": 5,
}  # fmt: skip
PACK = SimpleNamespace(
    classes=(), pixels_bytes=0, record=SimpleNamespace(stored=True), channels=1, count=40
)


def resolve(training=None, **model) -> ResolvedProfile:
    data = {"path": "x", "image_size": 32, "channels": 1}
    training = {"batch_size": 4, "epochs": None, "steps": 10, **(training or {})}
    profile = {"data": data, "model": {**SMALL, **model}, "training": training}
    return Profile.model_validate(profile).resolve(1)


def test_it_is_off_until_it_has_a_weight():
    assert build_adversarial_objective(resolve(), CPU, "fp32") is None
    unet = Profile.model_validate({"data": {"path": "x", "channels": 1}}).resolve(1)
    assert build_adversarial_objective(unet, CPU, "fp32") is None


def test_the_settings_reach_it_and_its_weights_are_a_function_of_the_seed():
    first, again, other = (
        build_adversarial_objective(
            resolve({"seed": seed}, discriminator_weight=0.5, discriminator_layers=2), CPU, "fp16"
        )
        for seed in (0, 0, 1)
    )
    assert (first.weight, first.start, first.in_fp32) == (0.5, 5, True)
    weights = [each.discriminator.layers[0].weight for each in (first, again, other)]
    assert weights[0].shape == (8, 1, 4, 4)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_training_that_ends_before_the_loss_begins_is_refused():
    check_discriminator(resolve({"steps": 5}), PACK)  # it has none
    check_discriminator(resolve({"steps": 6}, discriminator_weight=0.5), PACK)
    for training in ({"steps": 5}, {"steps": None, "epochs": 1, "batch_size": 8}):
        with pytest.raises(UsageError, match="begin after step 5, and training has 5"):
            check_discriminator(resolve(training, discriminator_weight=0.5), PACK)


@pytest.mark.parametrize("recompute", ["none", "blocks"])
def test_its_memory_is_estimated(monkeypatch, recompute):
    monkeypatch.setattr(engine_memory, "used_memory", lambda: 0)
    compute = ComputeContext(CPU, "fp32")
    plain, judged = (
        estimate_run_memory(
            resolve({"recompute": recompute}, discriminator_weight=weight), PACK, compute
        )
        for weight in (0.0, 0.5)
    )
    objective = build_adversarial_objective(resolve(discriminator_weight=0.5), CPU, "fp32")
    numbers = sum(p.numel() for p in objective.discriminator.parameters())
    assert (plain.discriminator, judged.discriminator) == (0, 16 * numbers)
    assert judged.checkpoint - plain.checkpoint == 12 * numbers, "weights and two moments"
    assert judged.parameters == plain.parameters
    # Of the image and of its reconstruction at least the outputs of all convolutions are kept.
    outputs = 8 * 16**2 + 2 * 16 * 8**2 + 2 * 32 * 4**2 + 2 * 64 * 3**2
    assert judged.per_image - plain.per_image > 2 * 4 * outputs
    assert judged.per_image < 5 * plain.per_image
