"""Memory that this process may use: the least of the machine, its control groups and its limits.

Swap is not counted: a training that lives in it makes no progress.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iddm_cli.machine.cgroups import ROOT, ControlGroup, find_groups
from iddm_cli.notices import notify_once

UNLIMITED = 2**60
"""Limits from here on are none: v1 writes 9223372036854771712 where there is no limit."""

PROGRAM_BYTES = 500_000_000
"""Memory of a process that has loaded PyTorch: 600 MB sufficed for a small training, 400 did not.
"""

MACHINE, GROUP = "this machine", "the container or job (cgroup)"


@dataclass(frozen=True)
class MemoryBound:
    """A bound on the memory of this process.

    Attributes:
        total: Bytes in all.
        free: Bytes that can still be used.
        source: Where the bound comes from.
    """

    total: int
    free: int
    source: str


def total_memory(root: Path = ROOT) -> MemoryBound:
    """Return the bound with the least memory in all."""
    return min(_iter_bounds(root), key=lambda bound: bound.total)


def free_memory(root: Path = ROOT) -> MemoryBound:
    """Return the bound with the least free memory."""
    return min(_iter_bounds(root), key=lambda bound: bound.free)


def describe_limit(root: Path = ROOT) -> str:
    """Return the least amount of memory and where it comes from: "2.00 GB in this machine"."""
    bound = total_memory(root)
    return f"{bound.total / 1e9:.2f} GB in {bound.source}"


def warn_if_small(root: Path = ROOT) -> None:
    """Give a notice where the memory may not suffice to load PyTorch: the system kills silently."""
    bound = free_memory(root)
    if bound.free < PROGRAM_BYTES:
        notify_once(
            f"{bound.free / 1e9:.2f} GB of memory are free in {bound.source}, and PyTorch alone "
            f"takes about {PROGRAM_BYTES / 1e9:.1f} GB: the system may kill iddm"
        )


def count_oom_kills(root: Path = ROOT) -> int:
    """Return how many processes of this control group the system killed for lack of memory."""
    for group in find_groups("memory", root):
        name = "memory.events" if group.version == 2 else "memory.oom_control"
        if (count := group.read_table(name).get("oom_kill")) is not None:
            return count
    return 0


def used_memory() -> int:
    """Return the bytes of memory that this process has in use; 0 if that is unknown."""
    return _measure_process("rss")


def peak_memory(root: Path = ROOT) -> int:
    """Return the most bytes of memory that this process had in use; 0 if that is unknown."""
    with contextlib.suppress(OSError, ValueError):
        lines = (root / "proc/self/status").read_text(encoding="ascii", errors="replace")
        for line in lines.splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return _measure_process("peak_wset")  # Windows


def _iter_bounds(root: Path) -> Iterator[MemoryBound]:
    yield _measure_machine()
    for group in find_groups("memory", root):
        yield from _read_group_v2(group) if group.version == 2 else _read_group_v1(group)
    yield from _read_process_limits()


def _measure_machine() -> MemoryBound:
    import psutil

    try:
        memory = psutil.virtual_memory()
    except (OSError, ValueError, KeyError, AttributeError):  # no /proc, or an odd one
        return MemoryBound(UNLIMITED, UNLIMITED, MACHINE)
    return MemoryBound(memory.total, memory.available, MACHINE)


def _read_group_v2(group: ControlGroup) -> Iterator[MemoryBound]:
    """Yield the bounds of a group: memory.max is hard, beyond memory.high the group is slowed."""
    used = group.read_number("memory.current") or 0
    cached = group.read_table("memory.stat").get("inactive_file", 0)
    for name in ("memory.max", "memory.high"):
        yield from _bound_group(group.read_number(name), used, cached)


def _read_group_v1(group: ControlGroup) -> Iterator[MemoryBound]:
    """Yield the bounds of a group; hierarchical_memory_limit includes groups out of sight."""
    used = group.read_number("memory.usage_in_bytes") or 0
    table = group.read_table("memory.stat")
    cached = table.get("total_inactive_file", table.get("inactive_file", 0))
    limits = (
        group.read_number("memory.limit_in_bytes"),
        table.get("hierarchical_memory_limit"),
    )
    for limit in limits:
        yield from _bound_group(limit, used, cached)


def _bound_group(limit: int | None, used: int, cached: int) -> Iterator[MemoryBound]:
    if limit is not None and limit < UNLIMITED:
        # The system gives up cached files before it kills.
        free = limit - max(0, used - cached)
        yield MemoryBound(limit, min(limit, max(0, free)), GROUP)


def _read_process_limits() -> Iterator[MemoryBound]:
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, field, source in (
        ("RLIMIT_AS", "vms", "this process (ulimit -v)"),
        ("RLIMIT_DATA", "data", "this process (ulimit -d)"),
    ):
        limit, _ = resource.getrlimit(getattr(resource, kind))
        if 0 <= limit < UNLIMITED:
            yield MemoryBound(limit, max(0, limit - _measure_process(field)), source)


def _measure_process(field: str) -> int:
    import psutil

    try:
        return int(getattr(psutil.Process().memory_info(), field, 0))
    except (psutil.Error, OSError):
        return 0
