"""The contract of sources, and paths that exist or not."""

from pathlib import Path

import pytest

from iddm_cli.data.sources.source import find_existing


def test_existing_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_existing(str(tmp_path / "a")) == tmp_path / "a"
    assert find_existing("~/a") == tmp_path / "a"


@pytest.mark.parametrize("path", ["nowhere/at/all", "a\0b", "x" * 5000, "~nobody-of-that-name/x"])
def test_text_that_is_not_a_path(path: str) -> None:
    assert find_existing(path) is None
