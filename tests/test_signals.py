"""Signals: those that stop and those that save, and whether one is ignored."""

import signal

from iddm_cli import signals
from iddm_cli.signals import SAVE_SIGNALS, STOP_SIGNALS, is_ignored


def test_ctrl_c_and_sigterm_stop_and_no_signal_does_both():
    assert {signal.SIGINT, signal.SIGTERM} <= set(STOP_SIGNALS)
    assert not set(STOP_SIGNALS) & set(SAVE_SIGNALS)


def test_signals_that_the_system_lacks_are_left_out():
    assert signals._select_available("SIGTERM", "SIGNONE") == (signal.SIGTERM,)


def test_a_signal_is_ignored_only_while_its_handler_says_so():
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert is_ignored(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert not is_ignored(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
