"""The console: results and notes go to their streams, and no text controls the terminal."""

import json

import pytest

from iddm_cli import notices
from iddm_cli.display import console


@pytest.mark.parametrize(
    ("text", "shown"),
    [("cat\nä [bold]", "cat\nä [bold]"), ("\x1b[31m", "\\x1b[31m"), ("a\u202eb", "a\\u202eb")],
)
def test_control_characters_are_escaped_and_nothing_else(text, shown):
    assert console.escape_control(text) == shown


def test_a_document_is_json_with_its_letters_kept(capsys):
    console.print_json({"class": "ä", "count": 2})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"class": "ä", "count": 2}
    assert "ä" in printed


def test_notices_are_printed_as_warnings(capsys, monkeypatch):
    monkeypatch.setattr(notices.board, "_listener", None)
    monkeypatch.setattr(notices.board, "_given", set())
    monkeypatch.setattr(notices.board, "_unread", [])
    console.show_notices()
    console.show_notices()
    notices.notify_once("no locks here [x]")
    assert capsys.readouterr().err == "warning: no locks here [x]\n"
