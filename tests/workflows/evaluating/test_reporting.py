"""Reporting: what is finished before Ctrl-C is printed, and the command is interrupted still."""

import json

import pytest

from iddm_cli.errors import RunError
from iddm_cli.evaluation.results import EvaluationSeries
from iddm_cli.workflows.evaluating import reporting, subjects
from iddm_cli.workflows.evaluating.request import EvaluationRequest
from tests.display.test_evaluation import make_evaluation


@pytest.fixture
def stop(monkeypatch):
    """Return what makes an evaluation stop after the first of three settings."""

    def stop_by(error: BaseException) -> None:
        series = EvaluationSeries((make_evaluation("5 steps"),), ("10 steps", "20 steps"), error)
        monkeypatch.setattr(subjects, "find_subject", lambda _request: "first")
        monkeypatch.setattr(subjects, "evaluate", lambda _subject, _request: series)

    return stop_by


def test_an_error_comes_after_what_is_finished(stop, capsys):
    error = RunError("the checkpoint is damaged", "Take another one.")
    stop(error)
    request = EvaluationRequest("first")
    with pytest.raises(RunError):
        reporting.report_evaluation(request, out=None, overwrite=False, as_json=False)
    captured = capsys.readouterr()
    assert "5 steps" in captured.out and "1 of 3 settings were evaluated" in captured.err
    with pytest.raises(RunError):
        reporting.report_evaluation(request, out=None, overwrite=False, as_json=True)
    assert capsys.readouterr().out == "", "the error is the only document"


@pytest.mark.parametrize("as_json", [True, False])
def test_an_interrupted_comparison_is_printed_without_a_page(stop, tmp_path, capsys, as_json):
    stop(KeyboardInterrupt())
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
