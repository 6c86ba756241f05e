"""Errors: their exit codes, suggestions, and one line of another error."""

import pytest

from iddm_cli.errors import (
    CheckpointError,
    DatasetError,
    IddmError,
    NonFiniteError,
    ProfileError,
    RunError,
    UsageError,
    did_you_mean,
    first_line,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (IddmError, 1), (UsageError, 2), (ProfileError, 2), (DatasetError, 3), (RunError, 4),
        (CheckpointError, 4), (NonFiniteError, 5),
    ],
)  # fmt: skip
def test_each_kind_has_its_exit_code(kind, code):
    error = kind("it fails", "Do that.")
    assert (error.exit_code, error.problem, error.hint) == (code, "it fails", "Do that.")
    assert str(error) == "it fails"


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [("guidence", "guidance"), ("GUIDANCE", "guidance"), ("CATS", "Cat"), ("zebra", None)],
)
def test_the_nearest_word_is_suggested_in_its_own_spelling(word, suggestion):
    wanted = f"Did you mean {suggestion}?" if suggestion else ""
    assert did_you_mean(word, iter(["guidance", "steps", "Cat"])) == wanted


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("\n first"), "first"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 999), "x" * 200),
    ],
)
def test_one_line_stands_for_an_error(error, line):
    assert first_line(error) == line
