"""Processor cores that this process may use: affinity, the quota of its control groups, its job.

The affinity includes the cpuset of a control group. A quota, which containers have, shows only in
the files of the group: all cores are visible, but the group may use each for a part of the time.
"""

import contextlib
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from iddm_cli.machine.cgroups import ROOT, ControlGroup, find_groups

JOB_VARIABLES = {"SLURM_JOB_ID": "SLURM_CPUS_PER_TASK", "PBS_JOBID": "NCPUS"}
"""Which variable says how many cores a job may use, by the variable that names the job."""


def count_cores(root: Path = ROOT) -> int:
    """Return the number of cores for this process: at least 1, a part of a core rounded up."""
    bounds = [float(count_visible_cores()), *_iter_quotas(root)]
    if (job := read_job_cores()) is not None:
        bounds.append(job)
    return max(1, math.ceil(min(bounds)))


def count_visible_cores() -> int:
    """Return the number of cores that this process may run on, for whatever part of the time."""
    if hasattr(os, "sched_getaffinity"):
        try:
            return len(os.sched_getaffinity(0))
        except OSError:
            pass
    return os.cpu_count() or 1


def read_cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """Return what identifies the kind of processor: its model and its instructions."""
    keys = ("model name", "flags", "Features", "CPU part")
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").partition("\n\n")[0].splitlines()
        if found := [line for line in lines if line.startswith(keys)]:
            return "\n".join(found)
    return f"{platform.machine()} {platform.processor()}"


def read_quota(root: Path = ROOT) -> float | None:
    """Return how many cores the control groups allow, 0.5 being half of one; None: no limit."""
    return min(_iter_quotas(root), default=None)


def read_job_cores() -> int | None:
    """Return how many cores SLURM or PBS gave to this task; None outside of a job."""
    for job, variable in JOB_VARIABLES.items():
        count = os.environ.get(variable, "")
        if job in os.environ and count.isdecimal() and int(count) > 0:
            return int(count)
    return None


def _iter_quotas(root: Path) -> Iterator[float]:
    for group in find_groups("cpu", root):
        quota, period = _read_times(group)
        if quota and period:
            yield quota / period


def _read_times(group: ControlGroup) -> tuple[int | None, int | None]:
    """Return the microseconds that a group may compute in a period, and the period."""
    if group.version == 1:
        return group.read_number("cpu.cfs_quota_us"), group.read_number("cpu.cfs_period_us")
    quota, _, period = group.read("cpu.max").partition(" ")
    if not quota.isdecimal():
        return None, None
    return int(quota), int(period) if period.strip().isdecimal() else 100_000
