"""Requests: what signals and the clock ask of a training."""

import os
import signal
import time

import pytest

from iddm_cli.engine.events import Request, Stopped
from iddm_cli.workflows.training.stop_requests import StopRequests, ignore_save_signals

STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.fixture(autouse=True)
def handlers():
    """Leave the handlers of the test's own process as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), STOPS)
def test_a_signal_asks_until_it_is_heard(number, code):
    before = signal.getsignal(number)
    with StopRequests() as requests:
        assert requests.poll() == 0
        os.kill(os.getpid(), number)
        assert (requests.poll(), requests.poll()) == (code, code)
        assert signal.getsignal(number) == signal.SIG_DFL, "the second one ends the process"
    assert signal.getsignal(number) == before
    assert Stopped(3, Request(code)).exit_code == code


def test_a_checkpoint_is_asked_for_once():
    with StopRequests() as requests:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (requests.poll(), requests.poll()) == (Request.SAVE, Request.NONE)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert requests.poll() == 143, "an end saves as well"


def test_time_is_up_at_the_deadline():
    with StopRequests(time.monotonic() + 0.05) as requests:
        assert requests.poll() == 0
        time.sleep(0.06)
        assert requests.poll() is Request.TIME_UP
        os.kill(os.getpid(), signal.SIGINT)
        assert requests.poll() == 130
    assert Stopped(3, Request.TIME_UP).exit_code == 0


def test_nohup_is_respected():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequests() as requests:
        os.kill(os.getpid(), signal.SIGHUP)
        assert requests.poll() == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_before_training_a_request_to_save_ends_nothing():
    ignore_save_signals()
    os.kill(os.getpid(), signal.SIGUSR1)
