"""Streams of randomness: the numbers behind a seed stay what they are, and never meet."""

import pytest
import torch

from iddm_cli.checkpoints.folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.engine.randomness import key_of, normal, seed_library, uniform, words
from tests.checkpoints.test_checkpoint import save


def test_a_seed_goes_on_meaning_the_same_numbers():
    # Worked out apart, in plain integers: Philox4x32-10 of the counter (place, item, step, 0)
    # under the first eight bytes of sha256("0/noise"), little-endian. Another answer here means
    # that every run resumed and every picture drawn by its seed is another one.
    drawn = words(key_of(0, "noise"), items=torch.tensor([5]), step=3, count=6)
    assert drawn.tolist() == [
        [2774477228, 1156098622, 4252012736, 2698618573, 1533095328, 4291339675]
    ]
    seed_library(0, "weights", step=0)
    assert torch.initial_seed() == 6682420496959684891


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_the_ends_of_every_range_are_usable_and_apart(seed):
    last = 2**32 - 1
    corners = [
        tuple(
            words(key_of(seed, "noise"), items=torch.tensor([item]), step=step, count=4)[0].tolist()
        )
        for item in (0, last)
        for step in (0, last)
    ]
    assert len(set(corners)) == 4
    assert all(0 <= word <= last for corner in corners for word in corner)
    seed_library(seed, "weights", step=last)


def test_streams_of_neighbouring_seeds_purposes_and_steps_are_uncorrelated():
    items = torch.arange(40)

    def stream(seed=0, purpose="noise", step=0):
        return normal(seed, purpose, items=items, step=step, shape=(1000,)).flatten()

    first = stream()
    others = [stream(seed=1), stream(purpose="sample"), stream(step=1), stream(step=2**16)]
    bound = 5 / len(first) ** 0.5
    assert all((first * other).mean().abs() < bound for other in others)
    assert first.mean().abs() < bound
    assert first.var() == pytest.approx(1, abs=5 * (2 / len(first)) ** 0.5)


def test_noise_is_always_finite_and_chance_never_one():
    items = torch.arange(200_000)
    assert uniform(0, "time", items=items, step=0).max() < 1
    noise = normal(0, "noise", items=items[:2000], step=0, shape=(999,))
    assert noise.isfinite().all()
    assert 4.5 < noise.abs().max() < 6


def test_seeding_the_library_uses_both_words_of_the_key():
    states = set()
    for step in range(64):
        seed_library(0, "dropout", step=step)
        states.add(torch.initial_seed() >> 33)
    assert len(states) == 64, "the upper half differs too"


def test_checkpoints_are_ordered_by_number_not_by_spelling(tmp_path):
    folder = CheckpointFolder(tmp_path, Retention(2))
    save(folder, 99_999_998, 99_999_999, 100_000_000)
    assert folder.latest_valid()[0].step == 100_000_000
    assert [path.name for path in folder.paths()] == ["step-99999999", "step-100000000"]
