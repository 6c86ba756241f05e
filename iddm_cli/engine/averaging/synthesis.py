"""Synthesis: the coefficients by which stored EMAs add up to an average of another length.

Each stored EMA weighs the updates before it in a known way, its weight profile. Karras et al. 2024
(arXiv:2312.02696, section 3 and appendix C) find the linear combination of stored profiles that is
nearest to the profile wanted, by least squares. They store two EMAs of different lengths; here one
suffices, and the least squares need no matrix: of two successive EMAs, the later one less the
earlier one times the share of it that is left is an average over the updates between them. So the
stored EMAs have the same span as averages over disjoint intervals, which are orthogonal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.engine.averaging.power_function import gamma_of, weigh_steps


@dataclass(frozen=True)
class StoredEMA:
    """An EMA on the disk, as far as its weight profile goes.

    Attributes:
        step: Number of updates made.
        decay: The decay that the updates before it had, once warmed up, in [0, 1).
    """

    step: int
    decay: float


@dataclass(frozen=True)
class Synthesis:
    """How an average is made of stored EMAs.

    Attributes:
        length: Its length, as a fraction of the training up to its step.
        step: Number of updates made at its end.
        coefficients: The factor of each stored EMA; they sum to 1.
        similarity: Cosine of the angle between the weight profile that results and the one wanted.
    """

    length: float
    step: int
    coefficients: tuple[float, ...]
    similarity: float


def weigh_interval(start: int, end: int, decay: float) -> tuple[Tensor, float]:
    """Return how the EMA after `end` updates weighs those since `start`.

    The decay is warmed up as that of `engine.ema`. While it is, the EMA is nearly the
    power-function EMA with gamma 8, of length 0.09.

    Returns:
        The weight of each update from start + 1 to end, [end - start], float64, and the share of
        the EMA after `start` updates that is left.
    """
    n = torch.arange(start + 1, end + 1, dtype=torch.float64)
    decays = ((1 + n) / (10 + n)).clamp_(max=decay)
    kept = decays.flip(0).cumprod(0).flip(0)  # of what each update adds, and of itself
    after = torch.cat([kept[1:], kept.new_ones(1)])
    return (1 - decays) * after, float(kept[0])


def synthesize(length: float, stored: Sequence[StoredEMA]) -> Synthesis:
    """Find the combination of stored EMAs that is nearest to a power-function EMA.

    Nearest is meant in the squared differences of the weights of all updates, among combinations
    whose coefficients sum to 1, so that weights which do not change stay as they are.

    Args:
        length: The length wanted, as a fraction of the training.
        stored: The stored EMAs by rising steps; the average ends at the last one.
    """
    total, gamma = stored[-1].step, gamma_of(length)
    spans: list[_Span] = []
    wanted = 0.0
    for start, ema in zip([None, *(one.step for one in stored)], stored, strict=False):
        weights, kept = _weigh_first(ema) if start is None else _weigh(start, ema)
        first = 0 if start is None else start + 1
        target = weigh_steps(first, ema.step, max(1, total), gamma)
        spans.append(_Span(float(weights @ target), float(weights @ weights), kept))
        wanted += float(target @ target)
    factors = _project(spans)
    made = sum(f * f * span.square for f, span in zip(factors, spans, strict=True))
    overlap = sum(f * span.overlap for f, span in zip(factors, spans, strict=True))
    later = [span.kept * f for f, span in zip(factors, spans, strict=True)][1:]
    coefficients = (f - left for f, left in zip(factors, [*later, 0.0], strict=True))
    similarity = overlap / math.sqrt(made * wanted) if wanted else 0.0
    return Synthesis(length, total, tuple(coefficients), similarity)


@dataclass(frozen=True)
class _Span:
    """The profile between two stored EMAs: what the later one adds to the earlier one.

    Attributes:
        overlap: Its inner product with the profile wanted.
        square: Its inner product with itself.
        kept: The share of the earlier EMA that is left; the rest is the sum of this profile.
    """

    overlap: float
    square: float
    kept: float

    @property
    def mass(self) -> float:
        return 1 - self.kept


def _weigh(start: int, ema: StoredEMA) -> tuple[Tensor, float]:
    return weigh_interval(start, ema.step, ema.decay)


def _weigh_first(ema: StoredEMA) -> tuple[Tensor, float]:
    """Return the whole profile of the first EMA, [step + 1], with the initial weights as update 0.

    Nothing is before it, so no share of that is left.
    """
    initial = torch.ones(1, dtype=torch.float64)
    if ema.step == 0:
        return initial, 0.0
    weights, kept = weigh_interval(0, ema.step, ema.decay)
    return torch.cat([initial * kept, weights]), 0.0


def _project(spans: Sequence[_Span]) -> list[float]:
    """Return the factors with which spans, which are orthogonal, come nearest to what is wanted.

    By the method of Lagrange, among those whose sum is an average: of mass 1.
    """
    mass = sum(span.overlap / span.square * span.mass for span in spans)
    multiplier = (1 - mass) / sum(span.mass**2 / span.square for span in spans)
    return [(span.overlap + multiplier * span.mass) / span.square for span in spans]
