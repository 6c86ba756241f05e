"""Run locks: only one process at a time trains a run, on any machine.

A lock consists of two files. A flock on `.lock` excludes other processes of this machine, and
the operating system releases it when the process ends. `lock.json` names the owner, since other
machines that share the folder may not see the flock; a lock of another machine can only be stolen.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from iddm_cli import durable
from iddm_cli.errors import RunError

ACQUIRE_TIMEOUT_SECONDS = 0.3
"""Time to wait for a process that only checks whether the lock is free."""


@dataclass(frozen=True)
class LockOwner:
    """A process that holds a lock.

    Attributes:
        pid: Process id.
        host: Host name.
        boot: Identifier of the host's boot.
        started: Start of the process in seconds since boot; needed where flock is unavailable.
    """

    pid: int
    host: str
    boot: str = ""
    started: float = 0.0

    @classmethod
    def current(cls) -> "LockOwner":
        """Return the current process."""
        return cls(
            os.getpid(), socket.gethostname(), _boot_id(), _process_start(os.getpid()) or 0.0
        )

    def is_alive(self) -> bool:
        """Return whether the process still runs; only valid for this machine."""
        return self.boot == _boot_id() and _process_start(self.pid) == self.started


class RunLock:
    """The lock of a run.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._owner_file = folder / "lock.json"

    @contextlib.contextmanager
    def hold(self, *, steal: bool = False) -> Iterator[None]:
        """Hold the lock.

        Args:
            steal: Whether to take the lock from a process on another machine.

        Raises:
            RunError: Another process holds the lock, or its files cannot be written.
        """
        with self._hold_flock() as has_flock:
            self._check_owner(has_flock=has_flock, steal=steal)
            try:
                durable.write_file(
                    self._owner_file, json.dumps(asdict(LockOwner.current())).encode()
                )
            except OSError as error:
                raise self._lock_error(error) from error
            try:
                yield
            finally:
                if self.is_ours():
                    with contextlib.suppress(OSError):
                        self._owner_file.unlink()

    def check(self) -> None:
        """Check that no other process has stolen the lock; an unreadable lock proves nothing.

        Raises:
            RunError: Another process has stolen it.
        """
        owner = self._read_owner()
        if owner is not None and owner != LockOwner.current():
            raise RunError(
                f"run {self.folder.name} was taken over by process {owner.pid} on {owner.host}",
                "This process stops writing to it.",
            )

    def is_ours(self) -> bool:
        """Return whether lock.json names this process."""
        return self._read_owner() == LockOwner.current()

    def is_free(self) -> bool:
        """Return whether no process holds the lock."""
        try:
            with self._hold_flock() as has_flock:
                self._check_owner(has_flock=has_flock, steal=False)
        except RunError:
            return False
        return True

    @contextlib.contextmanager
    def _hold_flock(self) -> Iterator[bool]:
        """Exclude other processes of this machine; yield whether the file system supports flock."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock")
        has_flock = True
        try:
            lock.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        except Timeout:
            raise self._taken_error(self._read_owner()) from None
        except NotImplementedError:
            has_flock = False
        except OSError as error:
            raise self._lock_error(error) from error
        try:
            yield has_flock
        finally:
            lock.release()

    def _check_owner(self, *, has_flock: bool, steal: bool) -> None:
        owner = self._read_owner()
        if owner is None or owner == LockOwner.current():
            return
        if owner.host == socket.gethostname():
            # With flock, the former owner is gone, since it would still hold the flock.
            if not has_flock and owner.is_alive():
                raise self._taken_error(owner)
        elif not steal:
            raise RunError(
                f"run {self.folder.name} is locked by process {owner.pid} on {owner.host}, another "
                "machine, and may still be training there",
                f"If that process is gone, take over: iddm resume {self.folder.name} --steal-lock",
            )

    def _read_owner(self) -> LockOwner | None:
        try:
            owner = LockOwner(**json.loads(self._owner_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return owner if isinstance(owner.pid, int) and isinstance(owner.host, str) else None

    def _taken_error(self, owner: LockOwner | None) -> RunError:
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        return RunError(
            f"run {self.folder.name} is being trained by {who}",
            "Wait for it, or stop it with Ctrl-C; it saves a checkpoint before it exits.",
        )

    def _lock_error(self, error: OSError) -> RunError:
        return RunError(f"run {self.folder.name} cannot be locked: {error.strerror}")


def _boot_id() -> str:
    """Return the identifier of this boot, or "" if the system has none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _process_start(pid: int) -> float | None:
    """Return the start of a process in seconds since boot, or None if it does not exist."""
    import psutil

    try:
        # Relative to boot, since absolute times change when the clock is adjusted.
        return float(psutil.Process(pid).create_time() - psutil.boot_time())
    except psutil.Error:
        return None
