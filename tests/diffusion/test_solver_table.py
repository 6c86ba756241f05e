"""Solver tables: what they hold, what they keep, and the one step that reads them."""

import pytest
import torch

from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.diffusion.solver_table import COLUMNS, MAX_HISTORY, SolverTable, advance
from iddm_cli.diffusion.solvers.ddim import ddim, ddpm
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m
from tests.diffusion.reference import SHAPE, fixed_grid


def test_images_at_different_steps_of_different_samplers_advance_as_one_batch():
    schedule = build_schedule("linear", 100)
    tables = [
        dpmpp_2m(schedule, fixed_grid([99, 60, 3]), 3),
        ddim(schedule, fixed_grid([99, 9]), 2, eta=0.5),
    ]
    generator = torch.Generator().manual_seed(4)
    x_t, denoised, previous = torch.randn(3, 2, *SHAPE[1:], generator=generator)
    rows = torch.stack([tables[0].coefficients[1], tables[1].coefficients[0]])
    together = advance(rows, x_t, denoised, [previous])
    apart = [advance(rows[i], x_t[i], denoised[i], [previous[i]]) for i in range(2)]
    assert torch.equal(together, torch.stack(apart))
    c_x, c_denoised, c_prev1, c_prev2, c_prev3, c_prev4, c_noise = rows[0].tolist()
    by_hand = c_x * x_t[0] + c_denoised * denoised[0] + c_prev1 * previous[0]
    torch.testing.assert_close(together[0], by_hand)
    assert c_prev1 < 0
    assert c_prev2 == c_prev3 == c_prev4 == c_noise == 0, "the first is in the middle of its steps"
    assert rows[1, -1] > 0, "the other adds noise"


def columns(count: int, history: int) -> SolverTable:
    """Return a table of random coefficients that uses so many earlier estimates."""
    generator = torch.Generator().manual_seed(history)
    c_x, c_denoised, *c_prev = torch.rand(2 + history, count, generator=generator) + 0.1
    for j, column in enumerate(c_prev):
        column[: j + 1] = 0
    return SolverTable.from_columns(
        list(range(count))[::-1], c_x=c_x, c_denoised=c_denoised, c_prev=c_prev
    )


@pytest.mark.parametrize("history", [0, 1, 2, 3, 4])
def test_a_table_keeps_as_many_estimates_as_it_uses(history):
    table = columns(6, history)
    assert table.history == history
    names, numbers = table.compact()
    assert names == (*COLUMNS[: 2 + history], "c_noise")
    assert torch.equal(numbers[:, :-1], table.coefficients[:, : 2 + history])
    assert torch.equal(table.compact(MAX_HISTORY)[1], table.coefficients)


def test_the_samplers_keep_one_estimate_or_none():
    schedule, times = build_schedule("cosine", 100), fixed_grid([99, 60, 30, 3])
    kept = {solver: solver(schedule, times, 4).history for solver in (ddim, ddpm, dpmpp_2m)}
    assert kept == {ddim: 0, ddpm: 0, dpmpp_2m: 1}


def test_noise_is_added_at_the_steps_that_ask_for_it():
    schedule, times = build_schedule("cosine", 100), fixed_grid([99, 60, 3])
    assert ddpm(schedule, times, 3).noisy_steps == {0, 1}, "the last step ends without noise"
    assert not ddim(schedule, times, 3).noisy_steps


def test_a_step_cannot_use_estimates_from_before_the_first():
    coefficients = torch.zeros(5, len(COLUMNS))
    coefficients[1, 3] = 1.0
    with pytest.raises(AssertionError, match="before the first step"):
        SolverTable([4, 3, 2, 1, 0], coefficients)


def test_estimates_that_no_coefficient_uses_are_not_read():
    x_t, denoised = torch.ones(2, 1, 2, 2), torch.ones(1, 2, 2)
    step = columns(4, 1).coefficients[0]
    assert torch.equal(advance(step, x_t, denoised, []), step[0] * x_t + step[1] * denoised)


def test_every_earlier_estimate_has_its_own_coefficient():
    row = torch.tensor([0.0, 0.0, 1.0, 10.0, 100.0, 1000.0, 0.0])
    previous = [torch.full((1, 1, 1), float(value)) for value in (1, 2, 3, 4)]
    zero = torch.zeros(1, 1, 1)
    assert advance(row, zero, zero, previous).item() == 1 + 20 + 300 + 4000


def test_a_step_keeps_its_estimate_or_what_the_table_says():
    x_t, denoised = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    table = columns(4, 1)
    assert table.keeps is None
    assert table.keep(2, x_t, denoised) is denoised, "nothing is computed"
    k_x, k_denoised = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, -2.0, -3.0]])
    other = SolverTable.from_columns(
        table.times, c_x=k_x, c_denoised=k_x, keeps=(k_x.double(), k_denoised.double())
    )
    assert torch.equal(other.keep(2, x_t, denoised), 3 * x_t - 2 * denoised)
