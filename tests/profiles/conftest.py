"""Fixtures of profiles: one is loaded, or refused, from its text and overrides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from iddm_cli.errors import ProfileError
from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.overrides import parse_override
from iddm_cli.profiles.profile import Profile


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a profile from a text, and overrides as --set spells them."""
    monkeypatch.chdir(tmp_path)

    def from_text(text: str, *sets: str) -> Profile:
        Path("mine.yaml").write_text(text, encoding="utf-8")
        return load_profile("mine.yaml", [parse_override(one) for one in sets])

    return from_text


@pytest.fixture
def refuse(load) -> Callable[..., ProfileError]:
    """Return the error that a profile is refused with."""

    def from_text(text: str, *sets: str) -> ProfileError:
        with pytest.raises(ProfileError) as refused:
            load(text, *sets)
        return refused.value

    return from_text
