import pytest
import torch

from iddm_cli.evaluation.features.feature_network import (
    DIMENSIONS,
    LARGEST_SIDE,
    FeatureNetwork,
    _reduce,
)


@pytest.mark.parametrize("channels", [1, 3, 16])
@pytest.mark.parametrize("shape", [(28, 28), (7, 40), (100, 60)])
def test_images_of_any_shape_and_channels_have_features(channels, shape):
    network = FeatureNetwork(channels, 5).eval()
    features, logits = network.describe(torch.randn(2, channels, *shape))
    assert features.shape == (2, DIMENSIONS) and logits.shape == (2, 5)
    assert features.isfinite().all()
    assert torch.equal(network(torch.zeros(1, channels, *shape)).isfinite(), torch.ones(1, 5) > 0)


def test_large_images_are_averaged_and_small_ones_stay():
    x = torch.arange(4 * LARGEST_SIDE**2 / 2).view(1, 1, 2 * LARGEST_SIDE, LARGEST_SIDE)
    reduced = _reduce(x)
    assert reduced.shape == (1, 1, LARGEST_SIDE, LARGEST_SIDE // 2)
    assert reduced[0, 0, 0, 0] == x[0, 0, :2, :2].mean()
    small = torch.randn(1, 1, LARGEST_SIDE, 3)
    assert torch.equal(_reduce(small), small)
