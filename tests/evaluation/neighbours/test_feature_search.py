"""Feature search: the exact nearest vectors, found through candidates."""

import pytest
import torch

from iddm_cli.engine import randomness
from iddm_cli.evaluation.neighbours import feature_search
from iddm_cli.evaluation.neighbours.feature_search import FeatureSearch


def vectors(count, seed=0):
    return randomness.normal(seed, "vectors", items=torch.arange(count), step=0, shape=(16,))


@pytest.mark.parametrize("memory", [3000, 2**24])
def test_it_finds_what_comparing_all_finds(monkeypatch, memory):
    monkeypatch.setattr(feature_search, "PAIRS_IN_MEMORY", memory)
    features, queries = vectors(500), vectors(80, seed=1)
    found = FeatureSearch(features, torch.arange(500)).find_nearest(queries[:, None])
    two = (queries[:, None] - features).norm(dim=2).topk(2, largest=False)
    assert found.nearest.equal(two.indices[:, 0])
    torch.testing.assert_close(
        found.ratio, two.values[:, 0] / two.values[:, 1], atol=1e-3, rtol=1e-3
    )


def test_the_nearer_of_image_and_mirror_image_counts():
    features = vectors(100)
    variants = torch.stack([vectors(100, seed=1), features + 0.01], dim=1)
    found = FeatureSearch(features, torch.arange(100)).find_nearest(variants)
    assert found.is_copy.all()
    assert found.nearest.equal(torch.arange(100))


def test_repetitions_are_searched_once():
    features = vectors(20).repeat(2, 1)
    search = FeatureSearch(features, torch.arange(20, 40))
    found = search.find_nearest(features[:20, None])
    assert found.is_copy.all()
    assert found.nearest.equal(torch.arange(20, 40))


def test_of_one_training_image_features_know_no_copy():
    search = FeatureSearch(vectors(1), torch.arange(1))
    assert search.find_nearest(vectors(1)[:, None]).ratio.tolist() == [1.0]
    assert len(search.find_nearest(torch.zeros(0, 2, 16)).ratio) == 0
