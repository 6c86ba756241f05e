"""A command that lacks an optional dependency says what to install."""

import pytest

from iddm_cli import extras
from iddm_cli.errors import UsageError


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="fastapi, uvicorn") as error:
        extras.require_extra("serve", ("fastapi", "uvicorn"))
    assert "pip install 'iddm-cli[serve]'" in error.value.hint


def test_installed_packages_pass():
    extras.require_extra("serve", ("json", "socket"))
