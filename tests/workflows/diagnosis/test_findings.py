"""Findings: a check that fails or hangs is a finding, and no text names the user."""

import getpass
import json
import threading
from pathlib import Path

import pytest

from iddm_cli.errors import IddmError
from iddm_cli.workflows.diagnosis.findings import CheckResult, Finding, hide_names, run_check


def test_what_a_check_finds_is_its_result():
    result = run_check("memory", lambda: Finding("ok", "enough", facts={"bytes": 3}), 10)
    assert result.to_json() | {"seconds": 0} == {
        "check": "memory", "status": "ok", "text": "enough", "advice": "", "seconds": 0, "bytes": 3
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "text", "advice"),
    [
        (IddmError("no room", "Make some."), "no room", "Make some."),
        (ValueError("odd"), "ValueError: odd", ""),
    ],
)
def test_a_check_that_fails_is_a_finding(error, text, advice):
    def fail() -> Finding:
        raise error

    found = run_check("x", fail, 10).finding
    assert (found.status, found.text, found.advice) == ("failed", text, advice)


def test_a_check_that_hangs_is_a_finding():
    never = threading.Event()
    found = run_check("x", lambda: Finding("ok", str(never.wait())), 0.01).finding
    never.set()
    assert found.status == "failed"
    assert "no answer within" in found.text


@pytest.fixture
def someone(tmp_path, monkeypatch) -> Path:
    home = tmp_path / "homes" / "ada"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ada")
    monkeypatch.chdir(home / "work")
    return home


def test_names_and_folders_of_the_user_are_hidden(someone):
    assert getpass.getuser() == "ada"
    text = f"{someone}/work/runs and {someone}/x of ada, not of adam or nevada: /data/ada/x"
    assert hide_names(text) == (
        "CURRENT-FOLDER/runs and ~/x of USER, not of adam or nevada: /data/USER/x"
    )


def test_facts_are_hidden_as_well(someone):
    facts = {"list": [f"{someone}/a"], "table": {"x": "ada"}, "number": 3}
    shown = CheckResult("x", 0.0, Finding("ok", "ada", "ada", facts)).to_json()
    assert shown["list"] == ["~/a"]
    assert shown["number"] == 3
    assert "ada" not in json.dumps(shown)
