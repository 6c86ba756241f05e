"""Errors a user can meet: each says what is wrong and what to do, and carries its exit code.

Exit codes, everywhere the same: 0 done, 1 failed while running, 2 usage or profile, 3 dataset
unusable, 4 run or checkpoint unusable or locked, 5 stopped by the guard against non-finite
numbers, 130 Ctrl-C, 143 SIGTERM.
"""

import difflib
from collections.abc import Iterable


class IddmError(Exception):
    """A problem the user can do something about.

    Args:
        problem: What is wrong, one sentence or several lines.
        hint: What to do: the command, option or key to change.
    """

    exit_code = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


class UsageError(IddmError):
    """An option, argument or combination of them that cannot work."""

    exit_code = 2


class ProfileError(UsageError):
    """A profile that cannot be found, read or accepted."""


class DatasetError(IddmError):
    """A dataset that cannot be found, read or trained on."""

    exit_code = 3


class RunError(IddmError):
    """A run folder that is missing, taken, locked or unusable."""

    exit_code = 4


class CheckpointError(RunError):
    """A checkpoint that is missing, damaged or does not fit the run."""


class NonFiniteError(IddmError):
    """Training met a loss or gradient that is not a finite number."""

    exit_code = 5


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known words: "Did you mean x?", or "" if none is near."""
    known = list(known)
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[near[0]]}?" if near else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
