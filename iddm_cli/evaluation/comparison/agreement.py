"""Class agreement: whether the feature network sees the class that was asked for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.evaluation.comparison.intervals import wilson_interval
from iddm_cli.evaluation.numbers import Number


@dataclass(frozen=True)
class Answers:
    """What the feature network sees in some images.

    Attributes:
        asked: The class of each image, int64 [N].
        seen: The class that the network sees in it, int64 [N].
    """

    asked: Tensor
    seen: Tensor

    def of_class(self, label: int) -> "Answers":
        """Return the answers on images of one class."""
        own = self.asked == label
        return Answers(self.asked[own], self.seen[own])

    def confusion(self, classes: int) -> Tensor:
        """Return the number of images by class asked for and class seen, int64 [K, K]."""
        cells = self.asked * classes + self.seen
        return torch.bincount(cells, minlength=classes**2).view(classes, classes)


def measure_agreement(real: Answers, generated: Answers) -> Number | None:
    """Return the share of generated images whose class is seen; None without images.

    Its floor is that of real images, with classes in the same proportions: the network errs there,
    too.
    """
    count = len(generated.asked)
    if not count:
        return None
    value = float((generated.asked == generated.seen).double().mean())
    return Number(value, _agreement_floor(real, generated), *wilson_interval(value, count), count)


def _agreement_floor(real: Answers, generated: Answers) -> float | None:
    """Return the agreement of real images; None where a class has none."""
    size = int(max(part.max() for part in (real.asked, generated.asked) if len(part))) + 1
    wanted, shown, right = (
        torch.bincount(labels, minlength=size).double()
        for labels in (generated.asked, real.asked, real.asked[real.asked == real.seen])
    )
    known = (wanted > 0) & (shown > 0)
    if not bool(known.any()):
        return None
    return float((wanted * right / shown)[known].sum() / wanted[known].sum())
