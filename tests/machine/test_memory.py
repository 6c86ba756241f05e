"""Memory: the least of the machine, the control groups and the process's own limits."""

import resource
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from iddm_cli.machine import memory
from tests.machine.conftest import V1, V2

GB = 10**9
NONE_V1 = 9223372036854771712


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """A machine with 64 GB, of which 50 are free."""
    values = SimpleNamespace(total=64 * GB, available=50 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: values)


def measure(system) -> tuple[float, float]:
    """Return what is free, and all, in GB."""
    free, total = memory.free_memory(system.root), memory.total_memory(system.root)
    return free.free / GB, total.total / GB


def test_without_limits_it_is_the_machine(system):
    assert measure(system) == (50, 64)
    system.mount_v2("/a")
    system.set("a", memory_max="max", memory_high="max", memory_current=GB)
    assert measure(system) == (50, 64)
    system.mount_v1("memory", "/a")
    system.set("memory/a", memory_limit_in_bytes=NONE_V1, memory_usage_in_bytes=GB)
    system.set("memory/a", memory_stat=f"hierarchical_memory_limit {NONE_V1}")
    assert measure(system) == (50, 64)
    assert memory.total_memory(system.root).source == memory.MACHINE


@pytest.mark.parametrize("name", ["memory_max", "memory_high"])
def test_a_limit_of_version_2_less_what_is_used_and_cannot_be_given_back(system, name):
    system.mount_v2("/a")
    stat = f"anon {GB}\ninactive_file {GB}\nactive_file 7"
    system.set("a", **{name: 4 * GB}, memory_current=3 * GB, memory_stat=stat)
    assert measure(system) == (2, 4)
    assert "cgroup" in memory.free_memory(system.root).source
    assert memory.describe_limit(system.root).startswith("4.00 GB in the container")


@pytest.mark.parametrize(("own", "above"), [(8, 2), (2, 8), ("max", 2)])
def test_the_least_of_the_own_group_and_of_those_above_counts(system, own, above):
    system.mount_v2("/slice/job")
    system.set("slice/job", memory_max=own if own == "max" else own * GB, memory_current=0)
    system.set("slice", memory_max=above * GB, memory_current=0)
    assert measure(system) == (2, 2)


def test_a_group_above_may_be_full_while_the_own_one_is_not(system):
    system.mount_v2("/slice/job")
    system.set("slice/job", memory_max=4 * GB, memory_current=0)
    system.set("slice", memory_max=8 * GB, memory_current=7 * GB)
    assert measure(system) == (1, 4)


def test_a_limit_of_version_1_in_a_container(system):
    system.mount_v1("memory", "/docker/1f", "/docker/1f")
    system.set("memory", memory_limit_in_bytes=4 * GB, memory_usage_in_bytes=3 * GB)
    assert measure(system) == (1, 4)
    system.set("memory", memory_stat=f"inactive_file 5\ntotal_inactive_file {2 * GB}")
    assert measure(system) == (3, 4)
    system.set("memory", memory_stat=f"hierarchical_memory_limit {3 * GB}")
    assert measure(system) == (0, 3), "a group out of sight"


def test_a_hybrid_system_has_its_memory_limit_in_version_1(system):
    system.mount(
        V1.format(group="/", name="memory"),
        V2.format(group="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
        own="4:memory:/m\n0::/",
    )
    system.set("memory/m", memory_limit_in_bytes=2 * GB, memory_usage_in_bytes=0)
    assert measure(system) == (2, 2)


def test_a_limit_below_what_is_used_leaves_nothing(system):
    system.mount_v2()
    system.set("", memory_max=GB, memory_current=2 * GB)
    assert measure(system) == (0, 1)


def test_more_cache_than_use_is_not_more_than_the_limit(system):
    system.mount_v2()
    system.set("", memory_max=GB, memory_current=1, memory_stat=f"inactive_file {GB}")
    assert measure(system) == (1, 1)


def test_without_proc_the_groups_still_count(system, monkeypatch):
    def fail() -> None:
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", fail)
    assert memory.free_memory(system.root).free == memory.UNLIMITED
    system.mount_v2()
    system.set("", memory_max=GB, memory_current=0)
    assert measure(system) == (1, 1)


@pytest.mark.parametrize(("kind", "name"), [("RLIMIT_AS", "ulimit -v"), ("RLIMIT_DATA", "-d")])
def test_the_limits_of_the_process_count(kind, name):
    code = (
        "import resource; from iddm_cli.machine import memory\n"
        f"resource.setrlimit(resource.{kind}, (2**30, 2**30))\n"
        "free = memory.free_memory()\n"
        "assert memory.total_memory().total == 2**30 and 0 < free.free < 2**30, free\n"
        "print(free.source)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert name in done.stdout
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 2**30, "only over there"


def test_processes_that_the_system_killed_are_counted(system):
    assert memory.count_oom_kills(system.root) == 0
    system.mount_v2("/a")
    system.set("a", memory_events="oom 3\noom_kill 2")
    system.set("", memory_events="oom 9\noom_kill 8")
    assert memory.count_oom_kills(system.root) == 2, "those of other groups do not count"
    system.mount_v1("memory", "/a")
    system.set("memory/a", memory_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 5")
    assert memory.count_oom_kills(system.root) == 5


def test_too_little_memory_for_pytorch_is_reported_before_it_is_loaded(system, monkeypatch):
    told = []
    monkeypatch.setattr(memory, "notify_once", told.append)
    system.mount_v2()
    for limit, count in ((GB, 0), (GB // 4, 1)):
        system.set("", memory_max=limit, memory_current=0)
        memory.warn_if_small(system.root)
        assert len(told) == count
    assert "0.25 GB of memory are free in the container" in told[0]


def test_the_peak_of_this_process_is_what_the_kernel_counts(system):
    status = system.root / "proc" / "self" / "status"
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text("VmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n")
    assert memory.peak_memory(system.root) == 2 * 2**20
    status.write_text("nothing")
    assert memory.peak_memory(system.root) == 0
    assert memory.peak_memory() >= memory.used_memory() // 2 > 0
