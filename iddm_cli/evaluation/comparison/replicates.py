"""Replicates: parts of a sample on which a number is measured again, for intervals and floors.

A replicate is a mask of the images that it keeps. All parts contain the classes in the same
proportions, as far as their counts allow.
"""

import torch
from torch import Tensor

from iddm_cli.engine import randomness
from iddm_cli.evaluation.comparison.samples import FeatureSample

GROUPS = 10
"""Groups of the jackknife, each of which is left out once."""

SPLITS = 5
"""Random splits of the real images whose floors are averaged."""


def keep_all(sample: FeatureSample) -> Tensor:
    """Return the replicate that keeps every image, bool [1, N]."""
    return torch.ones(1, len(sample), dtype=torch.bool)


def leave_out_groups(sample: FeatureSample) -> Tensor:
    """Return replicates that leave out a tenth of the images each, bool [GROUPS, N]."""
    ranks = _shuffle_within_classes(sample, "jackknife", step=0)
    return ranks % GROUPS != torch.arange(GROUPS)[:, None]


def split_in_two(sample: FeatureSample, share: float) -> tuple[Tensor, Tensor]:
    """Return random parts of a sample, and the rest of each, bool [SPLITS, N] both.

    Args:
        sample: The sample.
        share: Share of the images in the first part.
    """
    ranks = torch.stack(
        [_shuffle_within_classes(sample, "floor", step=split) for split in range(SPLITS)]
    )
    first = ((ranks + 1) * share + 0.5).floor() > (ranks * share + 0.5).floor()
    return first, ~first


def _shuffle_within_classes(sample: FeatureSample, purpose: str, *, step: int) -> Tensor:
    """Return the rank of each image in a random order by class, int64 [N]."""
    order = randomness.permutation(0, purpose, step=step, count=len(sample))
    if sample.labels is not None:
        order = order[sample.labels[order].argsort(stable=True)]
    return order.argsort()
