"""The error boundary: every error becomes one message and an exit code."""

import errno
import json
import sys

import pytest
import typer

from iddm_cli import main
from iddm_cli.display.streams import OutputError, ReaderGone
from iddm_cli.errors import DatasetError


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run the command line where a command raises, or returns; return code, stdout and stderr."""
    monkeypatch.setattr(main.streams, "guard_streams", lambda: None)
    monkeypatch.delenv("IDDM_DEBUG", raising=False)

    def run(outcome: object, *words: str) -> tuple[int, str, str]:
        def app(**_: object) -> object:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(main, "app", app)
        monkeypatch.setattr(sys, "argv", ["iddm", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (None, 0), (143, 143), (typer.Abort(), 130), (KeyboardInterrupt(), 130),
        (DatasetError("no images", "Add some."), 3), (typer.BadParameter("--steps"), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 1), (ZeroDivisionError("x"), 1),
        (ReaderGone(), 0), (OutputError("the output cannot be written"), 1),
    ],
    ids=repr,
)  # fmt: skip
def test_every_outcome_has_its_exit_code_and_no_traceback(end, outcome, code):
    found, out, err = end(outcome)
    assert (found, out) == (code, "")
    assert "Traceback" not in err


def test_an_error_shows_its_problem_and_its_hint(end):
    _, _, err = end(DatasetError("no images", "Add some."))
    assert err == "error: no images\n  Add some.\n"


def test_with_json_an_error_is_the_one_document_on_stdout(end):
    code, out, err = end(DatasetError("no images", "Add some."), "train", "--json")
    error = {"code": code, "message": "no images", "hint": "Add some."}
    assert (json.loads(out), err) == ({"error": error}, "")


def test_where_stdout_is_broken_even_a_json_error_goes_to_stderr(end):
    code, out, err = end(OutputError("the output cannot be written"), "--json")
    assert (code, out) == (1, "")
    assert "the output cannot be written" in err


def test_an_unexpected_error_is_reported_as_a_bug_and_traced_with_debug(end):
    bug = ZeroDivisionError("by nothing")
    _, _, err = end(bug)
    assert "this is a bug in iddm: ZeroDivisionError: by nothing" in err
    _, _, traced = end(bug, "--debug")
    assert "Traceback" in traced


def test_a_system_error_names_the_file_also_as_the_cause_of_another(end):
    system = OSError(errno.EACCES, "Permission denied", "/x/y")
    assert end(system)[2].startswith("error: /x/y: Permission denied")
    wrapped = RuntimeError("unrelated")
    wrapped.__cause__ = system
    assert end(wrapped)[2].startswith("error: /x/y: Permission denied")
    no_folder = FileNotFoundError(errno.ENOENT, "No usable temporary directory found")
    assert "Set TMPDIR to a writable folder." in end(no_folder)[2]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (RuntimeError("can't start new thread"), "does not allow another process or thread"),
        (OSError(errno.EMFILE, "Too many open files"), "files (ulimit -n)"),
        (MemoryError(), "memory ran out: at most"),
        (ImportError("libtorch_cpu.so: failed to map segment"), "PyTorch does not fit"),
    ],
    ids=repr,
)
def test_a_limit_of_the_system_is_no_bug(end, error, problem):
    code, _, err = end(error)
    assert code == 1
    assert problem in err
    assert "bug" not in err


def test_a_current_folder_that_is_gone_is_named(end, tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    _, _, err = end(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    assert err.startswith("error: the current folder no longer exists")
