"""The tuned sampler: the table that was fitted, at its own times."""

import pytest
import torch

from iddm_cli.diffusion.lookup import build_schedule, build_time_grid, find_solver
from iddm_cli.diffusion.solvers.tuned import to_solver_table
from iddm_cli.errors import UsageError
from tests.tuned import make_solver_table, make_tables, make_tuned

SCHEDULE = build_schedule("linear", 1000)


def test_a_table_comes_back_as_it_was_fitted():
    fitted = make_solver_table(6)
    found = find_solver("tuned")(
        SCHEDULE, build_time_grid("karras", SCHEDULE), 6, tables=make_tables(4, 6)
    )
    assert found.times == fitted.times
    assert torch.equal(found.coefficients, fitted.coefficients)
    assert found.history == 3


def test_columns_may_be_left_out_and_in_any_order():
    table = make_tuned(
        2, times=[999, 400], columns=["c_denoised", "c_x"], coefficients=[[0.2, 0.9], [1.0, 0.1]]
    )
    found = to_solver_table(table)
    assert torch.allclose(found.coefficients[:, :2], torch.tensor([[0.9, 0.2], [0.1, 1.0]]))
    assert not found.coefficients[:, 2:].any()


def test_it_does_not_start_from_an_image():
    grid = build_time_grid("trailing", SCHEDULE, 600)
    with pytest.raises(UsageError, match="pure noise"):
        find_solver("tuned")(SCHEDULE, grid, 5, tables=make_tables(5))


def test_a_table_of_another_noise_schedule_is_refused():
    short = build_schedule("linear", 200)
    with pytest.raises(UsageError, match="starts at time 999"):
        find_solver("tuned")(short, build_time_grid("trailing", short), 5, tables=make_tables(5))
