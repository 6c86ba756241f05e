"""The manifest of a run (run.json): what computes, where, by which versions and command."""

import platform
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from iddm_cli import __version__
from iddm_cli.runs.run import identify_process

if TYPE_CHECKING:
    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.distributed.group import ProcessGroup


def describe_process(device: str, world_size: int) -> dict[str, object]:
    """Return the entries of run.json about this process and its machine."""
    import torch

    return {
        "iddm": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device,
        "world_size": world_size,
        "git_commit": _read_git_commit(),
        "command": shlex.join(["iddm", *sys.argv[1:]]),
        **identify_process(),
    }


def _read_git_commit() -> str | None:
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def describe_compute(group: "ProcessGroup", compute: "ComputeContext") -> str:
    """Return on what a run computes: 4 processes, each on cuda:0 (NVIDIA H100), bf16."""
    from iddm_cli.engine.device import describe_device

    processes = f"{group.world_size} processes, each on " if group.world_size > 1 else ""
    return f"{processes}{describe_device(compute.device)}, {compute.precision}"
