import itertools

import pytest

from iddm_cli.build.samples.sample_grid import choose_evenly


@pytest.mark.parametrize("most", [1, 7, 64])
@pytest.mark.parametrize("count", [1, 5, 64, 65, 1000])
def test_the_classes_of_a_grid_are_evenly_spaced(count, most):
    chosen = choose_evenly(count, most)
    assert len(chosen) == min(count, most)
    assert chosen[0] == 0
    gaps = {after - before for before, after in itertools.pairwise([*chosen, count])}
    assert max(gaps) - min(gaps) <= 1 <= min(gaps)
