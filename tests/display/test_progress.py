"""Progress: plain lines at most every few seconds, and metrics in one line."""

from iddm_cli.display import progress
from iddm_cli.display.progress import Throttle


def test_a_line_is_due_once_per_interval(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    throttle = Throttle()
    assert not throttle.due()
    now += progress.PLAIN_INTERVAL
    assert throttle.due()
    assert not throttle.due()


def test_without_a_terminal_stages_are_plain_lines(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0)
    with progress.show_progress() as update:
        update("reading images", 1, 2)
    assert "reading images: 1/2" in capsys.readouterr().err
