"""The examination: every check has a result, and a failed one decides the exit code."""

import json

import pytest

from iddm_cli.workflows.diagnosis import compute_checks, examination
from iddm_cli.workflows.diagnosis.findings import Finding


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """Computing checks that find all well, without new processes; their names."""
    names: list[str] = []

    def answer(check, *args, timeout):
        names.append(check.__name__)
        facts = {"devices": ["cpu", "cuda:0", "cuda:1"], "gpus": [], "cuda": None}
        return Finding("ok", "well", facts=facts)

    monkeypatch.setattr(compute_checks, "run_in_process", answer)
    return names


def test_each_device_trains_and_processes_find_each_other(computed, capsys):
    assert examination.run_doctor(as_json=True) == 0
    assert computed == ["inspect_torch", *["try_device"] * 3, *["try_processes"] * 2]
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is True
    names = [row["check"] for row in shown["checks"]]
    assert names[: len(examination.QUICK_CHECKS)] == list(examination.QUICK_CHECKS)
    assert {"training on cuda:1", "two processes", "two GPUs"} <= set(names)


def test_a_failed_check_is_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(
        compute_checks, "run_in_process", lambda *_, timeout: Finding("failed", "no PyTorch", "Get")
    )
    assert examination.run_doctor(as_json=False) == 1
    out, err = capsys.readouterr()
    assert "no PyTorch" in out
    assert "Get" in out
    assert "2 failed" in err
    assert "training on" not in out, "what needs PyTorch is not tried without it"
