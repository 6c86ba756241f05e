"""Events of checkpoints, as plain data: one was saved, or could not be."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Saved:
    """A checkpoint is complete on the disk; training may have continued meanwhile."""

    step: int
    path: Path


@dataclass(frozen=True)
class SaveFailed:
    """A checkpoint or a grid could not be written; training continues."""

    step: int
    problem: str
