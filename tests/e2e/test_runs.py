"""`iddm runs` as a user runs it: the list, and `iddm runs compare`."""

import shutil

from .conftest import SMOKE


def test_two_runs_are_compared(shell, trained):
    shutil.copytree(trained.folder / "runs", shell.folder / "runs")
    shell.iddm(*SMOKE, "--name", "second", "--steps", "10", "--set", "training.lr=0.01")
    listed = shell.iddm("runs", "--json").json()["runs"]
    assert {run["name"] for run in listed} == {"first", "second"}
    assert shell.iddm("runs").out.splitlines()[0].split()[:2] == ["name", "state"]

    answer = shell.iddm("runs", "compare", "first", "second", "--out", "new/page.html")
    assert "training.lr" in answer.out
    assert "0.01" in answer.out
    assert answer.out.splitlines()[-1] == "new/page.html"
    page = (shell.folder / "new" / "page.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2
    assert "<svg" in page

    again = ("runs", "compare", "first", "second", "--out", "new/page.html")
    assert "exists" in shell.iddm(*again, expect=2).err
    shell.iddm(*again, "--overwrite")

    for words in (
        ("runs", "--json", "compare", "first", "second"),
        ("runs", "compare", "first", "second", "--json"),
        ("runs", "--runs-dir", "runs", "compare", "first", "second", "--json"),
        ("runs", "compare", "first", "second", "--json", "--runs-dir", "runs"),
    ):
        content = shell.iddm(*words).json()
        assert [run["name"] for run in content["runs"]] == ["first", "second"]
        assert content["settings"]["training.lr"][1] == 0.01
    assert content["runs"][1]["step"] == 10

    answer = shell.iddm("runs", "compare", "first", expect=2)
    assert "at least two runs" in answer.err
    shell.iddm("runs", "compare", "first", "thrid", expect=4)
    (shell.folder / "notes.txt").write_text("mine")
    answer = shell.iddm("runs", "compare", "first", "second", "--out", "notes.txt", expect=2)
    assert "is not the name of a page" in answer.err
    assert (shell.folder / "notes.txt").read_text() == "mine"
