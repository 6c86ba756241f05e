"""Reporting: what is finished before Ctrl-C is printed, and the command is interrupted still."""

import json

import pytest

from iddm_cli.evaluation.results import EvaluationSeries
from iddm_cli.workflows.evaluating import reporting, subjects
from iddm_cli.workflows.evaluating.request import EvaluationRequest
from tests.display.test_evaluation import make_evaluation


@pytest.fixture(autouse=True)
def interrupted(monkeypatch):
    series = EvaluationSeries((make_evaluation("5 steps"),), ("10 steps", "20 steps"))
    monkeypatch.setattr(subjects, "find_subject", lambda _request: "first")
    monkeypatch.setattr(subjects, "evaluate", lambda _subject, _request: series)


@pytest.mark.parametrize("as_json", [True, False])
def test_an_interrupted_comparison_is_printed_without_a_page(tmp_path, capsys, as_json):
    page = tmp_path / "report.html"
    with pytest.raises(KeyboardInterrupt):
        reporting.report_evaluation(
            EvaluationRequest("first"), out=page, overwrite=False, as_json=as_json
        )
    captured = capsys.readouterr()
    if as_json:
        document = json.loads(captured.out)
        assert [one["title"] for one in document["evaluations"]] == ["5 steps"]
        assert document["missing"] == ["10 steps", "20 steps"]
    else:
        assert "5 steps" in captured.out
    assert "1 of 3 settings were evaluated" in captured.err
    assert "10 steps; 20 steps" in captured.err
    assert not page.exists()
