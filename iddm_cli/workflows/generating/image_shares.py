"""Shares of a generation: which of its batches a process or a machine generates.

A share has whole batches of the plan, so that each image is computed in the same batch as by one
process, and has the same bytes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from iddm_cli.classes import is_index
from iddm_cli.errors import UsageError

SLURM = "slurm"
MOST_SHARDS = 100_000

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """One of several shares.

    Attributes:
        index: Its number, from 0.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    def divide(self, index: int, count: int) -> "Shard":
        """Return one of the parts of this share.

        Args:
            index: Number of the part, from 0.
            count: How many parts there are.
        """
        return Shard(self.index + self.count * index, self.count * count)

    def select(self, batches: Sequence[T]) -> list[T]:
        """Return the batches of this share: every count-th."""
        return list(batches[self.index :: self.count])

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()


def make_batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return the batches of some items; the last one may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def parse_shard(text: str | None) -> Shard:
    """Parse --shard: K/N for share K of N, counted from 0, or slurm for that of an array job.

    Raises:
        UsageError: The text is something else, or this is not a task of an array job.
    """
    if text is None:
        return WHOLE
    if text == SLURM:
        return _read_slurm_array()
    index, slash, count = text.partition("/")
    if not slash or not is_index(index) or not is_index(count):
        raise UsageError(f"--shard {text or repr(text)} is not a share", "Write 0/16 to 15/16.")
    if not int(index) < int(count) <= MOST_SHARDS:
        raise UsageError(
            f"--shard {text}: there is no such share",
            f"Shares are counted from 0: 0/{count} to {max(1, int(count)) - 1}/{count}.",
        )
    return Shard(int(index), int(count))


def _read_slurm_array() -> Shard:
    """Return the share of a task of a SLURM array job, whatever the first index and the step."""
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
    values = [os.environ.get(name, "") for name in names]
    if not all(map(is_index, values)):
        raise UsageError(
            "--shard slurm: this is not a task of a SLURM array job",
            "Start it with: sbatch --array=0-15 SCRIPT; or name the share: --shard 3/16",
        )
    task, first, count = map(int, values)
    step = os.environ.get("SLURM_ARRAY_TASK_STEP", "1")
    index = (task - first) // (int(step) if is_index(step) and int(step) else 1)
    if index >= count:
        raise UsageError(
            f"--shard slurm: task {task} is not one of {count} tasks at even steps from {first}",
            "Use an array without gaps, such as --array=0-15.",
        )
    return Shard(index, count)
