"""The manifest of a run (run.json): what computes, where, by which versions and command."""

import shlex
import sys

from iddm_cli import __version__
from iddm_cli.runs.run import identify_process


def describe_process(device: str, world_size: int) -> dict[str, object]:
    """Return the part of run.json that says what computes, where, and by which command."""
    import platform

    import torch

    return {
        "iddm": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device,
        "world_size": world_size,
        "git_commit": _git_commit(),
        "command": shlex.join(["iddm", *sys.argv[1:]]),
        **identify_process(),
    }


def _git_commit() -> str | None:
    import subprocess

    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None
