"""The table of a plan: durations in words, and the parts that matter."""

import io

import pytest
from rich.console import Console

from iddm_cli.display.machine.plan_table import format_duration, plan_table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12.3 ms"),
        (0.99951, "1 s"),
        (4.24, "4.2 s"),
        (61, "61 s"),
        (100, "2 min"),
        (59.4 * 60, "59 min"),
        (59.6 * 60, "1 h"),
        (3.34 * 3600, "3 h 20 min"),
        (50 * 3600, "2 days 2 h"),
        (48 * 3600, "2 days"),
    ],
)
def test_durations_are_short(seconds, text):
    assert format_duration(seconds) == text


PLAN = {
    "data": "pets",
    "parameters": 1000,
    "steps": 6,
    "epochs": 4.0,
    "processes": 2,
    "device": "cpu",
    "precision": "fp32",
    "memory": "measured",
    "memory_bytes": 2e9,
    "free_memory_bytes": 3e9,
    "checkpoint_bytes": 5e6,
    "held_out_loss": None,
    "time": {
        "step_seconds": 2.0,
        "total_seconds": 7200.0,
        "first_grid_seconds": 600.0,
        "first_checkpoint_seconds": 300.0,
        "parts": {"steps": 7000.0, "sample_grids": 190.0, "checkpoints": 10.0},
        "timed_steps": 3,
        "notes": ["a note"],
    },
}


def render(plan: dict) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=120).print(plan_table(plan, [("images", "3")]))
    return buffer.getvalue()


def test_the_times_and_their_parts_are_shown():
    shown = render(PLAN)
    assert "about 2 h in all: steps 1 h 57 min, sample grids 3 min" in shown
    assert "checkpoints" not in shown.split("in all")[1].splitlines()[0], "too little to matter"
    assert "sample grid after 10 min, checkpoint after 5 min" in shown
    assert "2 processes on cpu" in shown
    assert "a note" in shown


def test_without_grids_or_times_nothing_is_said_about_them():
    time = {**PLAN["time"], "first_grid_seconds": None}
    assert "sample grid after" not in render({**PLAN, "time": time})
    assert "not free now" in render({**PLAN, "time": None})
