"""Progress: plain lines at most every few seconds, and metrics in one line."""

from iddm_cli.display import progress
from iddm_cli.display.progress import Throttle, TrainingProgress
from iddm_cli.engine.events import Evaluated, Logged


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


def logged(step: int, **more: float) -> Logged:
    return Logged(step, 0.5, 0.25, 1e-3, 1.0, 8.0, 1.0, more=more)


def test_the_line_keeps_the_newest_held_out_loss(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0)
    shown = TrainingProgress(step=0, total=9, batch_size=8)
    for event in (logged(1), logged(2, held_out_loss=0.12345), logged(3)):
        shown.show(event)
    first, second, third = capsys.readouterr().err.splitlines()
    assert "held-out" not in first
    assert "loss 0.2500  held-out 0.1235  8.0 images/s" in second
    assert "held-out 0.1235" in third


def test_metrics_of_generated_images_are_a_note_and_losses_are_not(capsys):
    shown = TrainingProgress(step=0, total=9, batch_size=8)
    shown.show(Evaluated(2, {"held_out_loss": 0.1, "training_loss": 0.2}))
    assert capsys.readouterr().err == ""
    shown.show(Evaluated(3, {"held_out_loss": 0.1, "mind": 0.5, "coverage": 0.75}))
    assert "step 3: mind 0.5, coverage 0.75" in capsys.readouterr().err
