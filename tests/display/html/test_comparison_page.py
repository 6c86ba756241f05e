"""The page of a comparison: numbers, curves over each other and grids, nothing loaded."""

import pytest

from iddm_cli.display.html.comparison_page import render_comparison_page
from iddm_cli.runs.run_comparison import compare_records
from tests.display.pages import HOSTILE, SCRIPT, check_loads_nothing
from tests.runs.records import EVALUATED, ROWS, make_record


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    extra = [{"step": 5, SCRIPT: 3.5}]
    records = [
        make_record(folder, "a", SCRIPT, rows=[*ROWS, *EVALUATED, *extra], grids=[10, 20]),
        make_record(folder, "b", HOSTILE, rows=ROWS[:20], grids=[10, 20], lr=0.5),
        make_record(folder, "c", digest="other"),
    ]
    (folder / "b" / "samples" / "step-00000020.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return check_loads_nothing(render_comparison_page(compare_records(records)))


def test_names_are_only_words(page):
    assert page.text.count(SCRIPT) > 5
    assert page.text.count(HOSTILE) > 5


def test_numbers_settings_and_notes(page):
    for words in ("best held-out loss", "0.2 at step 20", "training.lr", "0.5", "different images"):
        assert words in page.text


def test_curves_lie_over_each_other(page):
    loss = next(text for text in page.texts("aria-label") if text.startswith("Loss"))
    assert f"{SCRIPT}: 1 at step 1, 0.025 at 40" in loss
    assert f"{HOSTILE}: 1 at step 1, 0.05 at 20" in loss
    assert any(text.startswith("MIND") for text in page.texts("aria-label"))


def test_grids_of_one_step(page):
    assert "step 20, the last that all runs with sample grids have" in page.text
    assert f"sample grid of {SCRIPT} at step 20" in page.texts("alt")
    assert "cannot be read" in page.text
    assert page.count("img") == 1
