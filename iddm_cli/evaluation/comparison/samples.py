"""Samples: the feature vectors that distances and rates compare, weighted, and parts of them."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from iddm_cli.engine import randomness

COMPARED = 5000
"""Images of each set that are compared at most: pairs of images are compared, and MIND of 5,000
images orders models as well as FID of 50,000 (arXiv:2605.06797)."""

CODE_LENGTH = 64
"""Largest length of the codes that stand for classes."""


@dataclass(frozen=True)
class FeatureSample:
    """Feature vectors with weights.

    Attributes:
        features: Float64 [N, D].
        weights: How much each vector counts, at least 0, float64 [N].
        labels: Index of each vector's class, int64 [N]; None without classes.
    """

    features: Tensor
    weights: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def is_uniform(self) -> bool:
        """Whether all vectors count alike."""
        return not len(self) or bool(self.weights.min() == self.weights.max())

    def select(self, index: Tensor) -> "FeatureSample":
        """Return the vectors of these indices, or of a mask."""
        labels = None if self.labels is None else self.labels[index]
        return FeatureSample(self.features[index], self.weights[index], labels)


@dataclass(frozen=True)
class SamplePair:
    """Two samples to compare.

    Attributes:
        real: Features of real images.
        generated: Features of generated images.
        joint: Both with the codes of their classes; the same as above without classes.
    """

    real: FeatureSample
    generated: FeatureSample
    joint: tuple[FeatureSample, FeatureSample]


def build_pair(real: FeatureSample, generated: FeatureSample) -> SamplePair:
    """Return two samples to compare: at most COMPARED images, with weights and codes of classes.

    Generated images of classes without any real image are left out.

    Args:
        real: Real images.
        generated: Generated images; with classes if and only if the real ones have them.
    """
    real, generated = (sample.select(choose_compared(len(sample))) for sample in (real, generated))
    if real.labels is None or generated.labels is None:
        return SamplePair(real, generated, (real, generated))
    generated = generated.select(torch.isin(generated.labels, real.labels))
    if not len(generated):
        return SamplePair(real, generated, (real, generated))
    real = match_proportions(real, generated)
    return SamplePair(real, generated, append_class_codes(real, generated))


def build_sample(features: Tensor, labels: Tensor | None = None) -> FeatureSample:
    """Return a sample in which every vector counts alike.

    Args:
        features: [N, D].
        labels: Index of each vector's class, int64 [N].
    """
    ones = torch.ones(len(features), dtype=torch.float64)
    return FeatureSample(features.double(), ones, labels)


def choose_compared(count: int, most: int = COMPARED) -> Tensor:
    """Return the indices of at most `most` of `count` images, fixed but random, int64, sorted."""
    if count <= most:
        return torch.arange(count)
    return randomness.permutation(0, "compared", step=0, count=count)[:most].sort().values


def match_proportions(real: FeatureSample, generated: FeatureSample) -> FeatureSample:
    """Weight real images so that their classes have the proportions of the generated ones.

    How many images of each class a user generates says nothing about their quality. A class of
    which there is no generated image keeps its share, so that it is missed.

    Args:
        real: Real images; every class of `generated` occurs.
        generated: Generated images.
    """
    assert real.labels is not None and generated.labels is not None, "both have classes"
    size = int(max(real.labels.max(), generated.labels.max())) + 1
    shares = [
        torch.bincount(labels, minlength=size).double() / len(labels)
        for labels in (real.labels, generated.labels)
    ]
    present = shares[1] > 0
    missed = shares[0][~present].sum()
    target = torch.where(present, (1 - missed) * shares[1], shares[0])
    factors = target / shares[0].clamp(min=1e-300)
    return replace(real, weights=real.weights * factors[real.labels])


def append_class_codes(
    real: FeatureSample, generated: FeatureSample
) -> tuple[FeatureSample, FeatureSample]:
    """Append to each feature vector a code of its class, so that a wrong class is a distance.

    The codes of two classes are as far apart as two random real images are on average. A distance
    of these vectors compares the joint distributions of image and class: it grows if the images of
    classes are swapped, which no distance of the images alone can see.
    """
    assert real.labels is not None and generated.labels is not None, "both have classes"
    spread = float(real.features.var(dim=0, unbiased=False).sum())
    size = int(max(real.labels.max(), generated.labels.max())) + 1
    codes = math.sqrt(spread) * _class_codes(size)
    return tuple(  # type: ignore[return-value]
        replace(sample, features=torch.cat([sample.features, codes[sample.labels]], dim=1))
        for sample in (real, generated)
    )


def _class_codes(count: int) -> Tensor:
    """Return unit vectors at right angles, nearly so if there are many, [count, length]."""
    if count <= CODE_LENGTH:
        return torch.eye(count, dtype=torch.float64)
    codes = randomness.normal(
        0, "class-code", items=torch.arange(count), step=0, shape=(CODE_LENGTH,)
    ).double()
    return codes / codes.norm(dim=1, keepdim=True)
