"""Checks of the machine: each says what is there, and what to do where it is not enough."""

from importlib import metadata

import pytest

from iddm_cli.machine import cpus, memory
from iddm_cli.machine.memory import MemoryBound
from iddm_cli.workflows.diagnosis import machine_checks
from iddm_cli.workflows.diagnosis.machine_checks import check_extras, check_folder, group_extras


def test_the_program_and_the_cores_are_named(monkeypatch):
    assert "Python 3." in machine_checks.check_python().text
    monkeypatch.setattr(cpus, "count_visible_cores", lambda: 8)
    monkeypatch.setattr(cpus, "count_cores", lambda: 2)
    monkeypatch.setattr(cpus, "read_quota", lambda: 1.5)
    found = machine_checks.check_cores()
    assert "2 of 8 cores" in found.text
    assert "allows 1.5" in found.text


@pytest.mark.parametrize(("free", "status"), [(10**9, "warning"), (9 * 10**9, "ok")])
def test_little_memory_is_a_warning(monkeypatch, free, status):
    bound = MemoryBound(10 * 10**9, free, "this machine")
    for name in ("free_memory", "total_memory"):
        monkeypatch.setattr(memory, name, lambda: bound)
    assert machine_checks.check_memory().status == status


def test_a_folder_is_writable_or_can_be_created(tmp_path, monkeypatch):
    assert check_folder(tmp_path).status == "ok"
    assert "does not exist yet" in check_folder(tmp_path / "a" / "b").text
    assert not (tmp_path / "a").exists(), "checking creates nothing"
    monkeypatch.setattr(machine_checks, "free_bytes", lambda _: 10**6)
    assert check_folder(tmp_path).status == "warning"
    monkeypatch.setattr(machine_checks, "free_bytes", lambda _: None)
    assert check_folder(tmp_path).status == "ok"
    (tmp_path / "file").write_text("x")
    assert check_folder(tmp_path / "file" / "runs").status == "failed"
    monkeypatch.setattr(machine_checks, "can_write", lambda _: False)
    assert check_folder(tmp_path).status == "failed"


def test_no_path_stands_in_what_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    for check in (machine_checks.check_runs_dir, machine_checks.check_cache_folder):
        assert str(tmp_path) not in str(check())


REQUIRED = ["numpy>=2", "onnx>=1; extra == 'onnx'", 'no-such-package; extra == "onnx"',
            "pillow>=1; extra == 'heif'", "pytest; extra == 'test'"]  # fmt: skip


def test_extras_are_those_of_the_package(monkeypatch):
    assert group_extras(REQUIRED) == {"onnx": ["onnx", "no-such-package"], "heif": ["pillow"]}
    monkeypatch.setattr(metadata, "requires", lambda _: REQUIRED)
    found = check_extras()
    assert found.facts == {"installed": ["heif"], "missing": ["onnx"]}
    assert "pip install 'iddm-cli[onnx]'" in found.advice
    assert found.status == "ok", "an extra is optional"


def test_a_program_that_is_no_package_is_a_warning(monkeypatch):
    def refuse(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", refuse)
    assert check_extras().status == "warning"


def test_without_its_program_there_is_no_driver(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine_checks.read_nvidia_driver() == ""
