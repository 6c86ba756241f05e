"""This process's place in a team that torchrun or srun has started, by their variables."""

import multiprocessing
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """This process's place in a team that something else has started."""

    rank: int
    size: int
    local_rank: int
    neighbours: int
    restarted: bool


def place_from_environment() -> Place | None:
    """Return the place that torchrun or srun gives this process; None where it stands alone."""
    if multiprocessing.parent_process() is not None:
        return None  # one of ours: its place is handed to it
    found = os.environ
    if "RANK" in found and "WORLD_SIZE" in found and "MASTER_ADDR" in found:
        return Place(
            rank=int(found["RANK"]),
            size=int(found["WORLD_SIZE"]),
            local_rank=int(found.get("LOCAL_RANK", 0)),
            neighbours=int(found.get("LOCAL_WORLD_SIZE", 1)),
            restarted=int(found.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0,
        )
    # Set for the tasks of srun only, not for the batch script around them.
    if int(found.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in found:
        return _slurm_place()
    return None


def _slurm_place() -> Place:
    """Read srun's variables, and derive a meeting point that all tasks of the step agree on."""
    found = os.environ
    job = int(found.get("SLURM_JOB_ID", 0))
    found.setdefault("MASTER_ADDR", _first_host(found.get("SLURM_STEP_NODELIST", "localhost")))
    found.setdefault("MASTER_PORT", str(20_000 + job % 20_000))
    tasks = found.get("SLURM_STEP_TASKS_PER_NODE", "1").split(",")[0].split("(")[0]
    return Place(
        rank=int(found["SLURM_PROCID"]),
        size=int(found["SLURM_STEP_NUM_TASKS"]),
        local_rank=int(found.get("SLURM_LOCALID", 0)),
        neighbours=int(tasks),
        restarted=int(found.get("SLURM_RESTART_COUNT", 0)) > 0,
    )


def _first_host(nodes: str) -> str:
    """Return the first of SLURM's list of nodes: gpu[03-05,9],login1 begins with gpu03."""
    head, bracket, rest = nodes.partition("[")
    if not bracket or "," in head:
        return head.split(",")[0]
    return head + rest.split("]")[0].split(",")[0].split("-")[0]
