"""`iddm bench` and `iddm doctor`, as a user calls them."""

import json

import pytest

SMALL = ("bench", "--profile", "smoke", "--seconds", "1")


def test_bench_needs_no_dataset_and_leaves_nothing(shell):
    result = shell.iddm(*SMALL, "--json").json()
    assert {row["kind"] for row in result["rows"]} >= {"training", "sampling"}
    assert result["batch_size"] == 8
    assert not list(shell.folder.iterdir())


def test_bench_takes_a_dataset_and_settings(shell):
    small = ("--data", "demo", "--set", "training.batch_size=2")
    answer = shell.iddm(*SMALL, *small)
    assert "images at once" in answer.out
    assert "6 classes" in answer.err


@pytest.mark.parametrize(
    ("words", "code"), [(("--profile", "no-such"), 2), (("--data", "no-such"), 3)]
)
def test_a_mistake_of_bench_is_one_clear_error(shell, words, code):
    shell.iddm(*SMALL, *words, expect=code)


def test_doctor_finds_all_well_and_names_nobody(shell):
    shell.env |= {"HOME": str(shell.folder), "LOGNAME": "ada", "USER": "ada"}
    process = shell.start("doctor", "--json")
    out, err = process.communicate(timeout=250)
    assert process.returncode == 0, out + err
    shown = json.loads(out)
    found = {row["check"]: row for row in shown["checks"]}
    assert found["two processes"]["backend"] == "gloo"
    assert found["training on cpu"]["loss"] > 0
    assert str(shell.folder) not in out + err
    assert "ada" not in json.dumps(shown["checks"])
    assert not (shell.folder / "runs").exists()
