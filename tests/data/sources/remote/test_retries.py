"""Trying again: how often, after which delays, and what ends it."""

import pytest

from iddm_cli.data.sources.remote.retries import RetryPolicy, retry
from iddm_cli.errors import DatasetError

AT_ONCE = RetryPolicy(tries=3, first_delay=0, longest_delay=0)


class Work:
    """Fails with these errors, one after the other, then returns 7."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.done = 0

    def __call__(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7


def test_delays_double_up_to_a_limit() -> None:
    policy = RetryPolicy(first_delay=1, longest_delay=5)
    assert [policy.delay(failures) for failures in (1, 2, 3, 4, 50)] == [1, 2, 4, 5, 5]


def test_what_passes_is_tried_again() -> None:
    assert retry(Work(TimeoutError(), ConnectionResetError()), "u", AT_ONCE) == 7


def test_it_is_given_up_after_so_many_failures_in_a_row() -> None:
    work = Work(*[TimeoutError() for _ in range(3)])
    with pytest.raises(DatasetError, match=r"u cannot be read: the server is silent, 3 times"):
        retry(work, "u", AT_ONCE)


def test_progress_forgives_failures() -> None:
    work = Work(*[EOFError("cut off") for _ in range(9)])
    assert retry(work, "u", AT_ONCE, lambda: -len(work.errors)) == 7


def test_what_is_final_is_not_tried_again() -> None:
    work = Work(FileNotFoundError("x"), TimeoutError())
    with pytest.raises(DatasetError, match="it does not exist"):
        retry(work, "u", AT_ONCE)
    assert len(work.errors) == 1


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        retry(Work(ZeroDivisionError()), "u", AT_ONCE)
