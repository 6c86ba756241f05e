"""The adversarial loss: each network gets the gradient of its own loss, as computed by hand."""

import pytest
import torch

from iddm_cli.diffusion.objectives.adversarial import (
    DELTA,
    AdversarialObjective,
    compute_adaptive_weight,
    compute_hinge_loss,
)
from iddm_cli.diffusion.objectives.reconstruction import Reconstructor
from iddm_cli.diffusion.schedules import linear_schedule
from iddm_cli.networks.autoencoding.discriminator import PatchDiscriminator
from tests.networks.autoencoding.small import build_small

WEIGHT, START = 0.5, 3
ZERO = torch.zeros(3, dtype=torch.int64)


@pytest.fixture
def parts():
    denoiser = Reconstructor(build_small(), linear_schedule(10), prediction="epsilon")
    discriminator = PatchDiscriminator(1, base_channels=4, layers=1)
    for parameter in discriminator.parameters():
        parameter.data *= 5  # so that its scores are on both sides of the hinge
    objective = AdversarialObjective(discriminator, weight=WEIGHT, start=START)
    x, noise = torch.randn(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    return denoiser, discriminator, objective, x, noise


def run(parts, x=None, step=START):
    denoiser, _, objective, images, noise = parts
    images = images if x is None else x
    label = ZERO[: len(images)]
    return objective.losses(
        denoiser, images, label, noise[: len(images)], label, target=denoiser, step=step
    )


def gradients(loss, network):
    return torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)


def adaptive_weights_by_hand(parts):
    """Return the ratio of the norms of both gradients by the last layer, for each image alone."""
    denoiser, discriminator, _, x, noise = parts
    last = denoiser.backbone.decoder.conv_out.weight
    found = []
    for row in range(len(x)):
        one = slice(row, row + 1)
        answer = denoiser.reconstruct(x[one], ZERO[one], noise[one], ZERO[one])
        both = (
            denoiser.loss(x[one], ZERO[one], noise[one], ZERO[one]).sum(),
            -discriminator(answer).mean(),
        )
        norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in both]
        found.append(norms[0] / (norms[1] + DELTA))
    return torch.stack(found)


def test_the_hinge_loss_by_hand():
    real = torch.tensor([[2.0, 0.5], [1.0, -1.0]])
    fake = torch.tensor([[-3.0, 0.0], [-1.0, 1.0]])
    assert compute_hinge_loss(real, fake).tolist() == [(0.25 + 0.5) / 2, (1.0 + 1.0) / 2]


def test_the_adaptive_weight_is_a_ratio_and_bounded():
    found = compute_adaptive_weight(torch.tensor([6.0, 1.0]), torch.tensor([2.0, 0.0]))
    assert found.tolist() == pytest.approx([3.0, 1e4])


def test_the_adaptive_weight_is_that_of_the_last_layer(parts):
    run(parts)
    expected = adaptive_weights_by_hand(parts)
    assert expected.std() > 0.01 * expected.mean(), "images differ"
    torch.testing.assert_close(parts[2].measured["adaptive_weight"], expected.sum().detach())


def test_the_autoencoder_gets_both_its_gradients_and_none_of_the_discriminators(parts):
    denoiser, discriminator, _, x, noise = parts
    found = gradients(run(parts).sum(), denoiser.backbone)
    answer = denoiser.reconstruct(x, ZERO, noise, ZERO)
    adversarial = -(adaptive_weights_by_hand(parts).detach() * discriminator(answer).mean(1))
    whole = denoiser.loss(x, ZERO, noise, ZERO).sum() + WEIGHT * adversarial.sum()
    torch.testing.assert_close(found, gradients(whole, denoiser.backbone))


def test_the_discriminator_gets_the_gradient_of_the_hinge_loss_alone(parts):
    denoiser, discriminator, _, x, noise = parts
    run(parts).sum().backward()
    found = tuple(parameter.grad for parameter in discriminator.parameters())
    with torch.no_grad():
        answer = denoiser.reconstruct(x, ZERO, noise, ZERO)
    hinge = compute_hinge_loss(discriminator(x), discriminator(answer)).sum()
    torch.testing.assert_close(found, gradients(hinge, discriminator))
    torch.testing.assert_close(parts[2].measured["discriminator_loss"], hinge.detach())


def test_its_value_is_the_loss_of_reconstruction_and_no_other_image_changes_it(parts):
    denoiser, _, objective, x, noise = parts
    losses = run(parts)
    assert torch.equal(losses, denoiser.loss(x, ZERO, noise, ZERO))
    together = dict(objective.measured)
    objective.begin()
    assert objective.measured == {}
    for row in range(3):
        one = (x[row : row + 1], ZERO[:1], noise[row : row + 1], ZERO[:1])
        objective.losses(denoiser, *one, target=denoiser, step=START)
    for name, value in together.items():
        torch.testing.assert_close(objective.measured[name], value)


def test_before_its_start_nothing_is_judged(parts):
    denoiser, discriminator, objective, x, noise = parts
    run(parts, step=START - 1).sum().backward()
    early = [p.grad.clone() for p in denoiser.parameters()]
    assert all(p.grad is None for p in discriminator.parameters())
    assert objective.measured == {}
    denoiser.zero_grad()
    denoiser.loss(x, ZERO, noise, ZERO).sum().backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(denoiser.parameters(), early, strict=True))


def test_a_discriminator_that_must_compute_in_fp32_does_within_autocast(parts):
    denoiser, discriminator, _, x, noise = parts
    seen = []
    discriminator.layers[0].register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    for in_fp32, expected in ((True, torch.float32), (False, torch.bfloat16)):
        objective = AdversarialObjective(discriminator, weight=1.0, start=0, in_fp32=in_fp32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = objective.losses(denoiser, x, ZERO, noise, ZERO, target=denoiser, step=0)
        losses.sum().backward()
        assert set(seen) == {expected}
        seen.clear()
