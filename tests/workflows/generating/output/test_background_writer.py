"""Writing in the background: everything is written, and an error reaches the caller."""

import threading

import pytest

from iddm_cli.workflows.generating.output import background_writer
from iddm_cli.workflows.generating.output.background_writer import BackgroundWriter


def test_all_is_written_in_order_at_the_end():
    done: list[int] = []
    with BackgroundWriter() as writer:
        for i in range(600):
            writer.submit(lambda i=i: done.append(i))
    assert done == list(range(600))
    assert writer.written == 600


def test_computing_waits_while_too_much_is_unwritten(monkeypatch):
    monkeypatch.setattr(background_writer, "MOST_WAITING", 2)
    go = threading.Event()
    with BackgroundWriter() as writer:
        writer.submit(go.wait)
        writer.submit(lambda: None)
        threading.Timer(0.05, go.set).start()
        writer.submit(lambda: None)
        assert writer.written >= 1, "the first had to be written before"


def test_two_batches_may_wait():
    go = threading.Event()
    with BackgroundWriter(batch_size=300) as writer:
        writer.submit(lambda: go.wait(30))
        for _ in range(599):
            writer.submit(lambda: None)
        assert writer.written == 0, "nothing had to be written before"
        go.set()
    assert writer.written == 600


def test_a_failed_write_is_raised_and_nothing_is_written_after_it():
    done: list[str] = []

    def fail() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), BackgroundWriter() as writer:
        writer.submit(lambda: done.append("first"))
        writer.submit(fail)
        writer.finish()
    assert (done, writer.written) == (["first"], 1)


def test_after_an_interruption_what_was_computed_is_written():
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt), BackgroundWriter() as writer:
        for i in range(20):
            writer.submit(lambda i=i: done.append(i))
        raise KeyboardInterrupt
    assert len(done) == 20
