"""Recovery: runs and their files get their names back, after a crash while they were replaced.

That can happen only where a file system cannot rename a file over another, or while
`iddm train --overwrite` replaces a run.
"""

import contextlib
from pathlib import Path

from iddm_cli import durable
from iddm_cli.runs.locks import RunLock

FILES = ("profile.yaml", "run.json", "dataset.json", "metrics.jsonl")


def recover_runs(folder: Path) -> None:
    """Give the runs of a folder their names back; those that a process is writing stay."""
    with contextlib.suppress(OSError, ValueError):
        for aside in folder.glob(f"{durable.ASIDE_PREFIX}*"):
            recover_run(folder / aside.name.removeprefix(durable.ASIDE_PREFIX))
        for aside in folder.glob(f"*/{durable.ASIDE_PREFIX}*"):
            recover_run(aside.parent)


def recover_run(path: Path) -> None:
    """Give a run and its files their names back, unless a process is writing them."""
    with contextlib.suppress(OSError, ValueError):
        folder = durable.find(path)
        files = [folder / name for name in FILES if durable.find(folder / name) != folder / name]
        if (folder != path or files) and RunLock(folder).is_free():
            for file in files:
                durable.restore(file)
            durable.restore(path)
