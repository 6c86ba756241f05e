"""An issue: one thing wrong in a profile."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Issue:
    """One thing wrong in a profile.

    Attributes:
        path: Section, key and index of the value; empty for the whole profile.
        problem: What is wrong: lower case, no full stop.
        hint: What to change, as a sentence; may be empty.
    """

    path: tuple[str | int, ...]
    problem: str
    hint: str = ""
