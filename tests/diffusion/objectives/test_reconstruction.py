"""The loss of reconstruction: pixels and their differences; nothing of noise and times."""

import torch
from torch import nn

from iddm_cli.diffusion.objectives.reconstruction import Reconstructor, measure_gradient_error
from iddm_cli.diffusion.schedules import linear_schedule


class Shifted(nn.Module):
    """Answers with the image, brighter by `shift`."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift
        self.noise = None

    def forward(self, x, t, label, noise=None):
        self.noise = noise
        return x + self.shift


def reconstructor(shift) -> Reconstructor:
    return Reconstructor(Shifted(shift), linear_schedule(10), prediction="epsilon")


X, ZERO = torch.randn(3, 2, 4, 6), torch.zeros(3, dtype=torch.int64)


def test_the_loss_is_the_error_of_pixels_and_of_their_differences():
    noise = torch.randn_like(X)
    perfect, brighter = reconstructor(0.0), reconstructor(0.25)
    assert torch.equal(perfect.loss(X, ZERO, noise, ZERO), torch.zeros(3))
    # A constant error has no gradient.
    torch.testing.assert_close(brighter.loss(X, ZERO, noise, ZERO), torch.full((3,), 0.25))
    assert brighter.backbone.noise is noise


def test_the_gradient_error_of_a_ramp_is_its_slopes():
    rows = torch.arange(4.0)[None, None, :, None]
    columns = torch.arange(6.0)[None, None, None, :]
    ramp = (0.5 * rows - 2 * columns).expand(3, 2, 4, 6)
    torch.testing.assert_close(measure_gradient_error(ramp), torch.full((3,), 2.5))


def test_the_estimate_is_the_reconstruction_at_any_time():
    answer = reconstructor(0.5)(X, ZERO + 9, ZERO)
    assert torch.equal(answer, X + 0.5)


def test_around_keeps_what_it_is():
    first = reconstructor(0.5)
    assert first.around(first.backbone) is first
    other = first.around(Shifted(0.0))
    assert isinstance(other, Reconstructor)
    assert torch.equal(other(X, ZERO, ZERO), X)
