"""The synthesis of averages: against a dense least-squares solution, and real EMAs of numbers."""

import numpy as np
import pytest
import torch

from iddm_cli.engine.averaging.power_function import gamma_of
from iddm_cli.engine.averaging.synthesis import StoredEMA, synthesize
from iddm_cli.engine.ema import EMA, warmed_decay

LENGTHS = (0.03, 0.05, 0.09, 0.12, 0.2)


def profile_of(step: int, total: int, decay: float) -> np.ndarray:
    """The weight of each update, of 0 to total, in the EMA after a step, by its recursion."""
    weights = np.zeros(total + 1)
    weights[0] = 1
    for n in range(1, step + 1):
        kept = warmed_decay(decay, n)
        weights *= kept
        weights[n] += 1 - kept
    return weights


def wanted(total: int, length: float) -> np.ndarray:
    edges = (np.arange(total + 1) / total) ** (gamma_of(length) + 1)
    return np.concatenate([[0], np.diff(edges)])


def solve_densely(profiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least squares among coefficients that sum to 1, by the last one as the rest."""
    rest = (profiles[:-1] - profiles[-1]).T
    free = np.linalg.lstsq(rest, target - profiles[-1], rcond=1e-13)[0]
    return np.append(free, 1 - free.sum())


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    ("steps", "decay"),
    [((40, 80, 120, 160, 180, 200), 0.9999), ((50, 51, 110, 200), 0.95), ((0, 90, 200), 0.99)],
)
def test_coefficients_are_the_least_squares(steps, decay, length):
    found = synthesize(length, [StoredEMA(step, decay) for step in steps])
    profiles = np.array([profile_of(step, steps[-1], decay) for step in steps])
    target = wanted(steps[-1], length)
    expected = solve_densely(profiles, target)
    assert np.allclose(found.coefficients, expected, atol=1e-8)
    made = expected @ profiles
    cosine = made @ target / np.linalg.norm(made) / np.linalg.norm(target)
    assert found.similarity == pytest.approx(cosine, abs=1e-9)
    assert sum(found.coefficients) == pytest.approx(1)


def test_a_warm_ema_has_nearly_length_009_by_itself():
    found = synthesize(0.0905, [StoredEMA(1000, 0.9999)])
    assert found.coefficients == (1.0,)
    assert found.similarity > 0.9999


def test_more_stored_emas_come_nearer():
    few = [StoredEMA(step, 0.9999) for step in (500, 1000)]
    more = [StoredEMA(step, 0.9999) for step in (250, 500, 750, 900, 950, 1000)]
    for length in (0.03, 0.05, 0.15, 0.2):
        near, nearer = (synthesize(length, stored).similarity for stored in (few, more))
        assert near < nearer < 1


def test_each_span_has_the_decay_of_its_end():
    """A run whose decay changed at step 100."""
    stored = [StoredEMA(100, 0.9), StoredEMA(200, 0.98)]
    profile = profile_of(100, 200, 0.9)
    for n in range(101, 201):
        kept = warmed_decay(0.98, n)
        profile *= kept
        profile[n] += 1 - kept
    profiles = np.array([profile_of(100, 200, 0.9), profile])
    expected = solve_densely(profiles, wanted(200, 0.1))
    assert np.allclose(synthesize(0.1, stored).coefficients, expected, atol=1e-9)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_short_decays_leave_gaps_which_the_similarity_shows(decay):
    stored = [StoredEMA(step, decay) for step in range(8, 129, 8)]
    assert synthesize(0.1, stored).similarity < 0.8


def test_an_untrained_ema_expresses_nothing():
    assert synthesize(0.1, [StoredEMA(0, 0.9999)]).similarity == 0


def test_the_average_of_weights_that_move_is_the_one_wanted():
    """The EMA itself, in fp32, over updates of one weight: combined, it is the average wanted."""
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    ema, path, stored = EMA(module, 0.9999), [0.0], {}
    one = torch.ones(())
    for n in range(1, 257):
        with torch.no_grad():
            module.weight.fill_(float(np.sqrt(n)))
        ema.update(module, n, one)
        path.append(module.weight.item())
        if n % 16 == 0:
            stored[n] = ema.module.weight.item()
    for length in (0.06, 0.15, 0.2):
        found = synthesize(length, [StoredEMA(n, 0.9999) for n in stored])
        made = sum(c * v for c, v in zip(found.coefficients, stored.values(), strict=True))
        assert made == pytest.approx(float(wanted(256, length) @ np.array(path)), rel=4e-3)
        assert made != pytest.approx(stored[256], rel=1e-2)
