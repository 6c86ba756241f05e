"""Retention: what is to stay stays, and nothing else does."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention

LOSSES = st.floats(0, 1) | st.sampled_from([0.5, math.nan, math.inf])
METRICS = st.fixed_dictionaries({}, optional={"loss": LOSSES, "fid": LOSSES, "coverage": LOSSES})
BEST = {None: min, "loss": min, "fid": min, "coverage": max}
SAVED = st.dictionaries(st.integers(0, 60), METRICS, max_size=12)
RETENTIONS = st.builds(
    Retention,
    st.integers(1, 6),
    every=st.integers(0, 12),
    best=st.sampled_from(list(BEST)),
)


def kept(retention: Retention, saved: dict) -> list[int]:
    return sorted(saved.keys() - set(retention.to_delete(saved)))


def known(saved: dict, name: str | None) -> dict[int, float]:
    """Return the figures of that name that are numbers, by their steps."""
    return {step: m[name] for step, m in saved.items() if math.isfinite(m.get(name, math.nan))}


@given(RETENTIONS, SAVED)
def test_the_newest_stay(retention, saved):
    newest = sorted(saved)[-retention.newest :]
    assert set(newest) <= set(kept(retention, saved))


@given(RETENTIONS, SAVED)
def test_the_multiples_stay(retention, saved):
    multiples = {step for step in saved if retention.every and step % retention.every == 0}
    assert multiples <= set(kept(retention, saved))


@given(RETENTIONS, SAVED)
def test_the_best_stays_and_of_equals_the_newest(retention, saved):
    figures = known(saved, retention.best)
    best_of = BEST[retention.best]
    if figures:
        best = max(step for step, figure in figures.items() if figure == best_of(figures.values()))
        assert best in kept(retention, saved)


@given(RETENTIONS, SAVED)
def test_nothing_else_stays(retention, saved):
    steps = sorted(saved)
    others = [
        step
        for step in kept(retention, saved)
        if step not in steps[-retention.newest :]
        and not (retention.every and step % retention.every == 0)
    ]
    figures = known(saved, retention.best)
    assert len(others) <= 1
    assert all(figures[step] == BEST[retention.best](figures.values()) for step in others)


@given(RETENTIONS, SAVED)
def test_the_last_one_is_never_removed(retention, saved):
    assert not saved or max(saved) in kept(retention, saved)


@given(RETENTIONS, SAVED)
def test_what_is_deleted_existed_and_is_listed_once_and_in_order(retention, saved):
    removed = retention.to_delete(saved)
    assert removed == sorted(set(removed))
    assert set(removed) <= saved.keys()


@given(RETENTIONS, SAVED)
def test_done_twice_is_done_once(retention, saved):
    left = {step: saved[step] for step in kept(retention, saved)}
    assert retention.to_delete(left) == []


@pytest.mark.parametrize("boundary", [10**8, 10**9])
def test_a_course_is_given_up_by_number_not_by_letter(tmp_path, boundary):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    tensors = {part: {"w": torch.ones(1)} for part in ("model", "average", "optimizer")}
    for step in (boundary - 2, boundary - 1, boundary, boundary + 1):
        folder.save(step, tensors, {"bits": {}, "scaler": {}})
    folder.remove_after(boundary - 1)
    assert [saved.step for saved in folder.iter_valid()] == [boundary - 1, boundary - 2]
