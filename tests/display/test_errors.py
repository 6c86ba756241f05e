"""Errors: on stderr with their hint, or as one JSON document."""

import json

from iddm_cli.display.errors import show_error
from iddm_cli.errors import DatasetError


def test_json_has_code_message_and_hint(capsys):
    show_error(DatasetError("no image can be read", "Check data.path."), as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "error": {"code": 3, "message": "no image can be read", "hint": "Check data.path."}
    }
