"""The environment of torchrun and srun: which rank they assigned to this process."""

import multiprocessing
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class RankInfo:
    """This process's rank in a group that torchrun or srun started.

    Attributes:
        rank: Number of this process, from 0.
        world_size: Number of processes.
        local_rank: Number of this process on this machine, from 0.
        local_world_size: Number of processes on this machine.
        is_restart: Whether the group was restarted after a failure.
        is_restartable: Whether torchrun starts this command again after a failure, and also, as if
            for the first time, where machines join.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    is_restart: bool
    is_restartable: bool = False


def read_rank_info() -> RankInfo | None:
    """Return the rank that torchrun or srun assigned; None where this process was started alone."""
    if multiprocessing.parent_process() is not None:
        return None  # spawned by iddm, which passes the rank itself
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env and "MASTER_ADDR" in env:
        return RankInfo(
            rank=int(env["RANK"]),
            world_size=int(env["WORLD_SIZE"]),
            local_rank=int(env.get("LOCAL_RANK", 0)),
            local_world_size=int(env.get("LOCAL_WORLD_SIZE", 1)),
            is_restart=int(env.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0,
            is_restartable=int(env.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0,
        )
    # Set for the tasks of srun only, not for the batch script around them.
    if int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in env:
        return _read_slurm()
    return None


def _read_slurm() -> RankInfo:
    """Read srun's variables, and derive a rendezvous that all tasks of the step agree on."""
    env = os.environ
    job_id = int(env.get("SLURM_JOB_ID", 0))
    env.setdefault("MASTER_ADDR", _first_host(env.get("SLURM_STEP_NODELIST", "localhost")))
    env.setdefault("MASTER_PORT", str(20_000 + job_id % 20_000))
    tasks = env.get("SLURM_STEP_TASKS_PER_NODE", "1").split(",")[0].split("(")[0]
    return RankInfo(
        rank=int(env["SLURM_PROCID"]),
        world_size=int(env["SLURM_STEP_NUM_TASKS"]),
        local_rank=int(env.get("SLURM_LOCALID", 0)),
        local_world_size=int(tasks),
        is_restart=int(env.get("SLURM_RESTART_COUNT", 0)) > 0,
    )


def _first_host(nodes: str) -> str:
    """Return the first host of a SLURM node list: gpu[03-05,9],login1 begins with gpu03."""
    head, bracket, rest = nodes.partition("[")
    if not bracket or "," in head:
        return head.split(",")[0]
    return head + rest.split("]")[0].split(",")[0].split("-")[0]
