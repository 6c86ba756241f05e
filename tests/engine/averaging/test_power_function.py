"""The power-function EMA: lengths and exponents, and weights against closed forms and the paper."""

import numpy as np
import pytest
import torch

from iddm_cli.engine.averaging.power_function import (
    LONGEST,
    SHORTEST,
    gamma_of,
    length_of,
    weigh_steps,
)


@pytest.mark.parametrize(("length", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_the_papers_exponents(length, gamma):
    assert gamma_of(length) == pytest.approx(gamma, abs=0.005)


@pytest.mark.parametrize("length", [SHORTEST, 0.02, 0.05, 0.1, 0.2, LONGEST])
def test_the_exponent_solves_the_cubic(length):
    roots = np.roots([1, 7, 16 - length**-2, 12 - length**-2]).real
    assert gamma_of(length) == pytest.approx(roots.max(), rel=1e-9)
    assert length_of(gamma_of(length)) == pytest.approx(length, rel=1e-12)


def test_the_length_is_the_deviation_of_time():
    t = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    for gamma in (0.0, 1.5, 6.94):
        density = t**gamma / (t**gamma).sum()
        mean = (density * t).sum()
        deviation = (density * (t - mean) ** 2).sum().sqrt()
        assert length_of(gamma) == pytest.approx(float(deviation), rel=1e-5)


def test_the_weights_are_those_of_the_papers_recursion():
    gamma, total = 6.94, 12
    weights = np.zeros(total + 1)
    for n in range(1, total + 1):
        decay = (1 - 1 / n) ** (gamma + 1)
        weights *= decay
        weights[n] += 1 - decay
    found = weigh_steps(0, total, total, gamma)
    assert np.allclose(found.numpy(), weights, atol=1e-15)
    assert torch.equal(weigh_steps(4, 9, total, gamma), found[4:10])
    assert float(found.sum()) == pytest.approx(1)
