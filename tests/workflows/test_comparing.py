"""Which runs can be compared, and what tells them apart."""

import shutil

import pytest

from iddm_cli.errors import ProfileError, RunError, UsageError
from iddm_cli.workflows.comparing import compare_runs
from tests.runs.records import ROWS, make_run


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "runs", "a", rows=ROWS, grids=[10])
    make_run(tmp_path / "runs", "b", lr=0.5)
    return tmp_path / "runs"


def test_runs_by_name_and_by_path(runs):
    comparison = compare_runs(runs, ["b", str(runs / "a")])
    assert [record.label for record in comparison.runs] == ["b", "a"]
    assert list(comparison.settings) == ["training.lr"]


def test_runs_of_one_name_are_told_apart_by_their_path(runs, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "other" / "a")
    paths = [str(runs / "a"), str(tmp_path / "other" / "a")]
    assert [record.label for record in compare_runs(runs, paths).runs] == paths


@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        ([], UsageError, "at least two"),
        (["a"], UsageError, "at least two"),
        (["a", "b", "a"], UsageError, "run a is given twice"),
        (["a", "nope"], RunError, "no run 'nope'"),
    ],
)
def test_mistakes(runs, names, error, said):
    with pytest.raises(error, match=said):
        compare_runs(runs, names)


def test_one_run_by_name_and_by_path_is_given_twice(runs):
    with pytest.raises(UsageError, match="given twice"):
        compare_runs(runs, ["a", str(runs / ".." / "runs" / "a")])


def test_a_damaged_profile_is_named(runs):
    (runs / "a" / "profile.yaml").write_text("training: {lr: fast}\n")
    with pytest.raises(ProfileError, match=r"training\.lr"):
        compare_runs(runs, ["a", "b"])
