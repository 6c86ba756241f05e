"""Comparison of runs: what differs, where losses went, which grids, and what to know first."""

import json
from dataclasses import replace

import pytest

from iddm_cli.runs.run_comparison import (
    choose_grids,
    compare_records,
    find_differing,
    summarize_loss,
)
from tests.runs.records import EVALUATED, ROWS, make_record


def test_settings_that_differ_in_the_order_of_the_profile():
    settings = [
        {"b": 1, "a": [1], "c": 3},
        {"b": 2, "a": [1], "c": 3},
        {"b": 1, "a": [1], "d": None},
    ]
    assert find_differing(settings) == {
        "b": (1, 2, 1),
        "c": (3, 3, None),
        "d": (None, None, None),
    }
    assert find_differing(settings[:1]) == {}


def test_results_of_a_run(tmp_path):
    bands = [{"step": 10, "held_out_loss_band_1": 0.1}]
    record = make_record(tmp_path, "a", rows=[*ROWS, *EVALUATED, *bands], batch_size=8)
    assert (record.step, record.steps, record.images_seen, record.seconds) == (40, 40, 320, 20.0)
    assert record.classes == 2
    held_out = record.losses["held_out_loss"]
    assert (held_out.best, held_out.best_step, held_out.last) == (0.2, 20, 0.5)
    assert record.losses["loss"].last == pytest.approx((1 / 39 + 1 / 40) / 2)
    assert list(record.losses) == ["loss", "held_out_loss"]
    assert record.latest == {"mind": (30, 0.1)}


def test_a_loss_of_one_line():
    assert summarize_loss("loss", [(7, 0.5)]).last == 0.5


def test_damaged_and_missing_files_count_as_missing(tmp_path):
    rows = ["{broken", '"text"', "[1]", '{"step": "x"}', '{"step": 3, "loss": 0.5}', "\0\0"]
    record = make_record(tmp_path, "a", rows=rows, grids=[5])
    assert record.curves == {"loss": [(3, 0.5)]}
    (tmp_path / "a" / "samples" / "step-best.png").write_text("x")
    for name in ("run.json", "dataset.json", "metrics.jsonl"):
        (tmp_path / "a" / name).write_text("{")
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.runs.run import Run
    from iddm_cli.runs.run_comparison import read_record

    run = Run(tmp_path / "a")
    record = read_record(run, "a", load_profile(str(run.profile_path), []))
    assert (record.state, record.step, record.steps, record.seconds) == ("damaged", 0, None, None)
    assert (record.classes, record.images_seen, record.curves) == (0, None, {})
    assert list(record.grids) == [5]


def test_the_last_common_grid_is_chosen(tmp_path):
    a = make_record(tmp_path, "a", grids=[10, 20, 40])
    b = make_record(tmp_path, "b", grids=[10, 20, 30])
    c = make_record(tmp_path, "c")
    chosen = choose_grids([a, c, b])
    assert [grid and grid[0] for grid in chosen.grids] == [20, None, 20]
    assert "step 20, the last that all runs with sample grids have" in chosen.note
    assert "same noise" in chosen.note
    assert "the last that all runs have" in choose_grids([a, b]).note


def test_without_a_common_grid_the_last_of_each_is(tmp_path):
    a = make_record(tmp_path, "a", grids=[10, 20], size=8)
    b = make_record(tmp_path, "b", grids=[15], size=16)
    chosen = choose_grids([a, b])
    assert [grid[0] for grid in chosen.grids] == [20, 15]
    assert "the last one of each" in chosen.note
    assert "different noise" in chosen.note
    assert choose_grids([make_record(tmp_path, "c")]).note == "No run has a sample grid."


def test_notes_say_what_cannot_be_compared(tmp_path):
    a = make_record(tmp_path, "a", rows=ROWS)
    assert compare_records([a, make_record(tmp_path, "b", rows=ROWS, lr=0.5)]).notes == ()
    other = make_record(tmp_path, "c", digest="two")
    changed = {**other.settings, "diffusion.prediction": "v"}
    object.__setattr__(other, "settings", changed)
    notes = " ".join(compare_records([a, other]).notes)
    for words in (
        "settings differ: diffusion.prediction.",
        "different images",
        "Without metrics: c",
    ):
        assert words in notes


def test_the_same_images_prepared_otherwise_are_not_called_different(tmp_path):
    a, b = (make_record(tmp_path, name, rows=ROWS, digest=name) for name in "ab")
    (note,) = compare_records([a, b]).notes
    assert "different images" in note
    cropped = replace(b, settings={**b.settings, "data.random_crop": 0.8})
    assert compare_records([a, cropped]).notes == ()
    fewer = replace(cropped, dataset={**b.dataset, "count": 3})
    assert "different images" in " ".join(compare_records([a, fewer]).notes)


def test_json_has_a_value_for_each_run(tmp_path):
    a = make_record(tmp_path, "a", rows=[*ROWS, *EVALUATED], grids=[10])
    b = make_record(tmp_path, "b", state="imported", lr=0.5)
    content = json.loads(json.dumps(compare_records([a, b]).to_json()))
    assert content["settings"] == {"training.lr": [0.0003, 0.5]}
    assert [run["state"] for run in content["runs"]] == ["finished", "imported"]
    assert content["runs"][0]["losses"]["held_out_loss"] == {
        "last": 0.5,
        "best": 0.2,
        "best_step": 20,
    }
    assert content["runs"][0]["latest"] == {"mind": {"step": 30, "value": 0.1}}
    assert content["grids"]["files"][1] is None
