"""What one check of `iddm doctor` finds, and the privacy of its text."""

import getpass
import platform
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from iddm_cli.errors import IddmError, first_line

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: ok, warning or failed.
        text: What was found, in one line.
        advice: What to do; "" if nothing.
        facts: The same as values, for programs.
    """

    status: Status
    text: str
    advice: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckResult:
    """A finding with the name of its check, without names of the user and of folders."""

    name: str
    seconds: float
    finding: Finding

    def to_json(self) -> dict[str, object]:
        """Return the result as --json prints it."""
        found = self.finding
        return {
            "check": self.name,
            "status": found.status,
            "text": hide_names(found.text),
            "advice": hide_names(found.advice),
            "seconds": round(self.seconds, 2),
            **{key: _hide_in(value) for key, value in found.facts.items()},
        }


def run_check(name: str, check: Callable[[], Finding], timeout: float) -> CheckResult:
    """Run a check; one that fails or takes too long is a finding as well.

    A check that hangs, as on a network drive without its server, is left behind in its thread.
    """
    found: list[Finding] = []

    def run() -> None:
        try:
            found.append(check())
        except IddmError as error:
            found.append(Finding("failed", error.problem, error.hint))
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is the finding
            found.append(Finding("failed", f"{type(error).__name__}: {first_line(error)}"))

    started = time.monotonic()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if not found:
        found.append(Finding("failed", f"no answer within {timeout:.0f} seconds"))
    return CheckResult(name, time.monotonic() - started, found[0])


def hide_names(text: str) -> str:
    """Return a text without the home folder, the current folder, and names of user and machine."""
    for path, instead in _private_paths():
        text = text.replace(path, instead)
    for name, instead in _private_names():
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", instead, text)
    return text


def _hide_in(value: object) -> object:
    if isinstance(value, str):
        return hide_names(value)
    if isinstance(value, Mapping):
        return {key: _hide_in(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide_in(item) for item in value]
    return value


def _private_paths() -> list[tuple[str, str]]:
    """Return paths, the longest first, and what is shown instead."""
    paths = []
    for find, instead in ((Path.cwd, "CURRENT-FOLDER"), (Path.home, "~")):
        try:
            path = find()
        except (OSError, RuntimeError):
            continue
        paths += [(str(one), instead) for one in {path, path.resolve()} if len(one.parts) > 1]
    return sorted(paths, key=lambda pair: -len(pair[0]))


def _private_names() -> list[tuple[str, str]]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = ""
    names = [(user, "USER"), (platform.node(), "HOST")]
    return [(name, instead) for name, instead in names if name]
