"""Signals: those that stop and those that save, and whether one is ignored."""

import signal
import subprocess
import sys

import pytest

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
        for handler in (signal.SIG_DFL, lambda *_: None):
            signal.signal(signal.SIGTERM, handler)
            assert not is_ignored(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_with_nothing_to_stop_ignores_all_requests_to_stop():
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        signals.ignore_stop_signals()
        assert all(map(is_ignored, STOP_SIGNALS))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


AS_INIT = """
import os, signal, sys
os.getpid = lambda: 1
from iddm_cli import signals
signals.handle_stop_as_init()
if sys.argv[1] == "again":
    signal.signal(signal.SIGTERM, lambda *_: signals.end_at_once(signal.SIGTERM))
    signal.raise_signal(signal.SIGTERM)
    print("saving", flush=True)
signal.raise_signal(signal.SIGTERM)
print("not reached", flush=True)
"""


@pytest.mark.parametrize(("how", "printed"), [("once", ""), ("again", "saving\n")])
def test_process_1_ends_by_sigterm_although_the_system_would_drop_it(how, printed):
    words = [sys.executable, "-c", AS_INIT, how]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, printed)


def test_other_processes_keep_the_default():
    before = signal.getsignal(signal.SIGTERM)
    signals.handle_stop_as_init()
    assert signal.getsignal(signal.SIGTERM) == before
