"""The discriminator of patches: what each output sees, and that no other image matters."""

import pytest
import torch

from iddm_cli.networks.autoencoding.discriminator import PatchDiscriminator


def build(layers: int = 3) -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(1, base_channels=4, layers=layers)


@pytest.mark.parametrize(("layers", "side"), [(3, 70), (2, 34), (1, 16)])
def test_each_output_sees_a_patch_of_the_documented_side(layers, side):
    x = torch.zeros(1, 1, 96, 96, requires_grad=True)
    network = build(layers)
    for norm in (each for each in network.layers if isinstance(each, torch.nn.GroupNorm)):
        norm.forward = lambda h: h  # statistics of the whole image would reach every pixel
    scores = network(x)
    columns = int(scores.shape[1] ** 0.5)
    scores[0, columns // 2 * (columns + 1)].backward()
    seen = x.grad[0, 0].abs().sum(0).nonzero()
    assert int(seen.max() - seen.min()) + 1 == side


def test_an_image_is_judged_as_if_it_were_alone():
    network, x = build(), torch.randn(3, 1, 32, 24)
    together = network(x)
    assert together.shape[0] == 3
    assert torch.allclose(together[1:2], network(x[1:2]), atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_smallest_side_leaves_one_patch(layers):
    side = 3 * 2**layers
    assert build(layers)(torch.zeros(2, 1, side, side)).shape == (2, 1)
    with pytest.raises(RuntimeError):
        build(layers)(torch.zeros(2, 1, side - 1, side))
