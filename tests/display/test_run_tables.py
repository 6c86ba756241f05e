"""Tables of runs: units, what is missing, and settings as a profile writes them."""

import pytest
from rich.console import Console

from iddm_cli.display.run_tables import (
    format_seconds,
    format_setting,
    render_comparison,
    result_rows,
    setting_rows,
    tuning_table,
)
from iddm_cli.runs.run_comparison import compare_records
from tests.runs.records import EVALUATED, ROWS, make_record
from tests.tuned import make_tuned


def test_results_of_each_run(tmp_path):
    records = [
        make_record(tmp_path, "a", rows=[*ROWS, *EVALUATED], batch_size=8),
        make_record(tmp_path, "b", state="imported"),
    ]
    rows = dict(result_rows(records))
    assert rows["steps"] == ["40 of 40", "–"]
    assert rows["images seen"][0] == "320"
    assert rows["training time"] == ["20 s", "–"]
    assert rows["best held-out loss"] == ["0.2 at step 20", "–"]
    assert rows["final held-out loss"] == ["0.5", "–"]
    assert rows["mind"] == ["0.1 at step 30", "–"]
    assert "best loss" not in rows


def test_a_setting_that_a_run_lacks_differs_from_null(tmp_path):
    records = [make_record(tmp_path, name) for name in "ab"]
    object.__setattr__(records[0], "settings", {"a": None, "b": "text", "c": 1e-4})
    object.__setattr__(records[1], "settings", {"b": [1, 2], "c": 1e-4})
    assert setting_rows(compare_records(records)) == [
        ("a", ["null", "–"]),
        ("b", ["text", "[1, 2]"]),
    ]


def test_the_terminal_shows_all(tmp_path):
    records = [make_record(tmp_path, "a", rows=ROWS), make_record(tmp_path, "b", lr=0.5)]
    console = Console(width=100)
    with console.capture() as shown:
        console.print(render_comparison(compare_records(records)))
    assert "training.lr" in shown.get()
    assert "0.0003" in shown.get()
    with console.capture() as shown:
        console.print(render_comparison(compare_records(records[:1] * 2)))
    assert "all settings are equal" in shown.get()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "–"), (0.5, "0.5 s"), (59.4, "59.4 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"),
     (59.9, "1 min 00 s"), (360_000, "100 h 00 min")],
)  # fmt: skip
def test_times(seconds, expected):
    assert format_seconds(seconds) == expected


def test_a_long_setting_is_shortened():
    assert len(format_setting("x" * 500)) == 61


def test_errors_before_and_after_tuning():
    console = Console(width=80, record=True)
    console.print(tuning_table([make_tuned(5), make_tuned(8, error=0.0, untuned_error=0.0)]))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert lines[0][:4] == ["calls", "error", "of", "dpmpp-2m"]
    assert lines[1:] == [["5", "0.2000", "0.0500", "0.25"], ["8", "0.0000", "0.0000", "–"]]
