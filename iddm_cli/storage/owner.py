"""Who holds a lock: a process, told apart from a later one with the same number."""

import contextlib
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

SAME_START_SECONDS = 0.05
"""The start of a process is read with less error than this."""


@dataclass(frozen=True)
class LockOwner:
    """A process that holds a lock.

    Attributes:
        pid: Process id.
        host: Host name.
        boot: Identifier of the host's boot.
        started: Start of the process in seconds since boot.
        purpose: What it does meanwhile, a participle such as "tuned"; "" is not recorded.
    """

    pid: int
    host: str
    boot: str = ""
    started: float = 0.0
    purpose: str = ""

    @classmethod
    def current(cls) -> "LockOwner":
        """Return the current process."""
        return cls(
            os.getpid(), socket.gethostname(), read_boot_id(), process_start(os.getpid()) or 0.0
        )

    def to_json(self) -> dict[str, object]:
        """Return the fields for a file; earlier versions read no purpose."""
        return {key: value for key, value in asdict(self).items() if value or key != "purpose"}

    def is_alive(self) -> bool:
        """Return whether the process still runs; only valid for this machine."""
        return self.boot == read_boot_id() and is_running(self.pid, self.started)

    def is_current(self) -> bool:
        """Return whether this is the current process."""
        return self.pid == os.getpid() and self.host == socket.gethostname() and self.is_alive()


def is_running(pid: int, started: float) -> bool:
    """Return whether a process of this machine runs that began at this time.

    Args:
        pid: Process id.
        started: Its start in seconds since boot.
    """
    actual = process_start(pid)
    return actual is not None and abs(actual - started) < SAME_START_SECONDS


def read_boot_id() -> str:
    """Return the identifier of this boot, or "" if the system has none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def process_start(pid: int) -> float | None:
    """Return the start of a process in seconds since boot, or None if it does not exist."""
    import psutil

    try:
        # Relative to boot, since absolute times change when the clock is adjusted.
        return float(psutil.Process(pid).create_time() - psutil.boot_time())
    except psutil.Error:
        return None


def read_namespace() -> str:
    """Return the namespace of process ids: in another one, as in a container, they differ."""
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""
