"""Curves of metrics.jsonl: any finite number, and the time of all processes."""

import json

import pytest

from iddm_cli.runs.curves import collect_curves, is_loss, sum_seconds


def test_every_finite_number_is_a_curve():
    rows = [
        {"step": 2, "epoch": 1.0, "loss": 0.5, "seconds": 1, "skipped": 0, "name": "x"},
        {"step": 1, "loss": None, "mind": {"value": 3, "floor": True}, "d": {"a": {"b": {"c": 1}}}},
        {"step": 3, "loss": float("nan"), "big": json.loads("1" + "0" * 400)},
        {"step": True, "loss": 9}, {"loss": 9}, {"step": 4, "loss": 0.25},
    ]  # fmt: skip
    assert collect_curves(rows) == {
        "loss": [(2, 0.5), (4, 0.25)],
        "mind.value": [(1, 3.0)],
    }


def test_curves_ascend():
    assert collect_curves([{"step": 5, "a": 1}, {"step": 2, "a": 7}]) == {"a": [(2, 7.0), (5, 1.0)]}


@pytest.mark.parametrize(
    ("key", "expected"),
    [("loss", True), ("held_out_loss", True), ("held_out_loss.low", True), ("glossy", False)],
)
def test_losses_are_recognised(key, expected):
    assert is_loss(key) is expected


def test_each_process_counts_its_time_from_zero():
    assert sum_seconds([{"seconds": s} for s in (1, 5, 2, 3, 0.5)]) == 8.5
    assert sum_seconds([{"seconds": "x"}, {}]) is None
