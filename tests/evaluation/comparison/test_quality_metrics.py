import pytest
import torch

from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS
from iddm_cli.evaluation.comparison.samples import build_sample


def test_the_keys_are_those_of_the_json_in_order():
    assert list(QUALITY_METRICS) == [
        "mind", "frechet", "kid", "precision", "recall", "density", "coverage", "agreement",
    ]  # fmt: skip


@pytest.mark.parametrize("key", QUALITY_METRICS)
def test_every_row_is_complete(key):
    row = QUALITY_METRICS[key]
    assert row.title and row.summary and not row.summary.endswith(".")
    assert row.is_distance == (row.better == "lower")
    if row.measure is not None:
        x = build_sample(torch.randn(row.smallest, 3, generator=torch.Generator().manual_seed(0)))
        masks = torch.ones(2, row.smallest, dtype=torch.bool)
        assert row.measure(x, x, masks, masks)[key].shape == (2,)
