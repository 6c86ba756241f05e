"""Errors that a user can fix: each has a problem, a hint and an exit code.

Exit codes: 0 success, 1 failure while running, 2 usage or profile, 3 unusable dataset, 4 unusable
or locked run or checkpoint, 5 stopped by the guard against non-finite numbers, 130 Ctrl-C,
143 SIGTERM.
"""

import difflib
from collections.abc import Iterable


class IddmError(Exception):
    """A problem that the user can fix.

    Args:
        problem: What is wrong, in one or several lines: lower case, no full stop.
        hint: The command, option or key to change, as a sentence.
    """

    exit_code = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


class UsageError(IddmError):
    """An option or argument is invalid, or a combination of them."""

    exit_code = 2


class ProfileError(UsageError):
    """A profile cannot be found or read, or is invalid."""


class DatasetError(IddmError):
    """A dataset cannot be found, read or trained on."""

    exit_code = 3


class RunError(IddmError):
    """A run is missing, locked or damaged, or its name is taken."""

    exit_code = 4


class CheckpointError(RunError):
    """A checkpoint is missing, damaged or incompatible with the run."""


class NonFiniteError(IddmError):
    """Training stopped because of a non-finite loss or gradient."""

    exit_code = 5


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion of the most similar known word, "Did you mean x?", or ""."""
    known = list(known)
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[near[0]]}?" if near else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
