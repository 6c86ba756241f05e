"""Cores: the least of affinity, quotas and the job's share, rounded up."""

import os

import pytest

from iddm_cli.machine import cpus


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """A machine with 16 cores, no job."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for variable in [*cpus.JOB_VARIABLES, *cpus.JOB_VARIABLES.values()]:
        monkeypatch.delenv(variable, raising=False)


def test_without_limits_it_is_the_affinity(system):
    assert cpus.count_cores(system.root) == 16
    system.mount_v2()
    system.set("", cpu_max="max 100000")
    assert (cpus.count_cores(system.root), cpus.read_quota(system.root)) == (16, None)
    system.mount_v1("cpu,cpuacct")
    system.set("cpu,cpuacct", cpu_cfs_quota_us=-1, cpu_cfs_period_us=100_000)
    assert (cpus.count_cores(system.root), cpus.read_quota(system.root)) == (16, None)


@pytest.mark.parametrize(
    ("text", "quota", "cores"),
    [
        ("200000 100000", 2, 2),
        ("150000 100000", 1.5, 2),
        ("50000 100000", 0.5, 1),
        ("1000 100000", 0.01, 1),
        ("3000000 100000", 30, 16),
        ("100000", 1, 1),
    ],
)
def test_a_quota_counts_rounded_up(system, text, quota, cores):
    system.mount_v2("/a/b")
    system.set("a", cpu_max=text)
    assert (cpus.read_quota(system.root), cpus.count_cores(system.root)) == (quota, cores)
    system.mount_v1("cpu,cpuacct", "/docker/1f", "/docker/1f")
    quota_us, _, period = text.partition(" ")
    system.set("cpu,cpuacct", cpu_cfs_quota_us=quota_us, cpu_cfs_period_us=period or 100_000)
    assert (cpus.read_quota(system.root), cpus.count_cores(system.root)) == (quota, cores)


@pytest.mark.parametrize("text", ["", "x y", "max", "0 0", "100000 0"])
def test_a_quota_that_makes_no_sense_is_none(system, text):
    system.mount_v2()
    system.set("", cpu_max=text)
    assert cpus.count_cores(system.root) == 16


@pytest.mark.parametrize(
    ("job", "count", "text", "expected"),
    [
        ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "4", 4),
        ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "64", 16),
        ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "many", 16),
        ("PBS_JOBID", "NCPUS", "2", 2),
        ("OTHER", "NCPUS", "2", 16),
    ],
)
def test_the_share_of_a_job_counts(system, monkeypatch, job, count, text, expected):
    monkeypatch.setenv(job, "17")
    monkeypatch.setenv(count, text)
    assert cpus.count_cores(system.root) == expected


def test_a_system_without_affinity_has_its_cores(monkeypatch):
    def refuse(_: int) -> set[int]:
        raise OSError("seccomp")

    monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert cpus.count_visible_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpus.count_visible_cores() == 1
