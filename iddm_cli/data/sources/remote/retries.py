"""Trying again what a network spoils: stalls, cut connections, servers that are busy."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from iddm_cli.data.sources.remote.filesystems import (
    describe_failure,
    is_final,
    list_error_types,
)
from iddm_cli.errors import DatasetError

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and when, something is tried again.

    Attributes:
        tries: Failures in a row without progress, after which it is given up.
        first_delay: Seconds before the first retry; each later one waits twice as long.
        longest_delay: Most seconds before a retry.
        silence: Seconds after which a silent connection is given up.
    """

    tries: int = 7
    first_delay: float = 1.0
    longest_delay: float = 30.0
    silence: float = 30.0

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row."""
        return min(self.longest_delay, self.first_delay * 2 ** (failures - 1))


DEFAULT_POLICY = RetryPolicy()


def retry(
    work: Callable[[], Result],
    url: str,
    policy: RetryPolicy,
    measure: Callable[[], int] = lambda: 0,
) -> Result:
    """Return what some work returns; try again while it fails for reasons that may pass.

    Args:
        work: The work.
        url: What it reads, for messages.
        policy: How often, and when, to try again.
        measure: Returns how much is done; progress forgives the failures before.

    Raises:
        DatasetError: It failed for good, or too often.
    """
    failures = 0
    while True:
        before = measure()
        try:
            return work()
        except list_error_types() as error:
            failures = 1 if measure() > before else failures + 1
            if is_final(error):
                raise _make_error(url, error, "") from error
            if failures >= policy.tries:
                raise _make_error(url, error, f", {failures} times in a row") from error
        time.sleep(policy.delay(failures))


def _make_error(url: str, error: Exception, more: str) -> DatasetError:
    return DatasetError(
        f"{url} cannot be read: {describe_failure(error)}{more}",
        "Check the address, the network and your credentials. What has arrived is kept in the "
        "cache: the same command continues there.",
    )
