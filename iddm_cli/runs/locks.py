"""Locks: only one process at a time trains a run, wherever it is.

Two things hold a lock. A flock on `.lock` keeps out others on this machine, and ends with the
process, however that ends. `lock.json` says who it is, since on a shared folder other machines may
not see the flock; one of theirs can only be taken by force.
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
"""How long to wait for one who only looks whether the lock is free."""


@dataclass(frozen=True)
class LockOwner:
    """A process that holds a lock.

    Attributes:
        pid: Its number.
        host: Its machine.
        boot: Which start of that machine.
        started: When it began, in seconds since the machine's start; for machines without flock.
    """

    pid: int
    host: str
    boot: str = ""
    started: float = 0.0

    @classmethod
    def this(cls) -> "LockOwner":
        """Return this process."""
        return cls(
            os.getpid(), socket.gethostname(), _boot_id(), _process_start(os.getpid()) or 0.0
        )

    def is_alive(self) -> bool:
        """Say whether it is still there; only for one of this machine."""
        return self.boot == _boot_id() and _process_start(self.pid) == self.started


class RunLock:
    """The lock of one run.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._record = folder / "lock.json"

    @contextlib.contextmanager
    def hold(self, *, steal: bool = False) -> Iterator[None]:
        """Hold the lock.

        Args:
            steal: Whether it is taken from a process on another machine.

        Raises:
            RunError: Another process holds it, or it cannot be written.
        """
        with self._hold_flock() as certain:
            self._check_owner(certain=certain, steal=steal)
            try:
                durable.write_file(self._record, json.dumps(asdict(LockOwner.this())).encode())
            except OSError as error:
                raise self._lock_error(error) from error
            try:
                yield
            finally:
                if self.is_ours():
                    with contextlib.suppress(OSError):
                        self._record.unlink()

    def check(self) -> None:
        """Make sure that nobody has taken it away; that it cannot be read says nothing.

        Raises:
            RunError: Somebody has.
        """
        owner = self._read_owner()
        if owner is not None and owner != LockOwner.this():
            raise RunError(
                f"run {self.folder.name} was taken over by process {owner.pid} on {owner.host}",
                "This process leaves it alone.",
            )

    def is_ours(self) -> bool:
        """Say whether this process is the one that is written down."""
        return self._read_owner() == LockOwner.this()

    def is_free(self) -> bool:
        """Say whether nobody holds it."""
        try:
            with self._hold_flock() as certain:
                self._check_owner(certain=certain, steal=False)
        except RunError:
            return False
        return True

    @contextlib.contextmanager
    def _hold_flock(self) -> Iterator[bool]:
        """Keep other processes of this machine out; yield whether the file system can do that."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock")
        certain = True
        try:
            lock.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        except Timeout:
            raise self._taken_error(self._read_owner()) from None
        except NotImplementedError:
            certain = False
        except OSError as error:
            raise self._lock_error(error) from error
        try:
            yield certain
        finally:
            lock.release()

    def _check_owner(self, *, certain: bool, steal: bool) -> None:
        owner = self._read_owner()
        if owner is None or owner == LockOwner.this():
            return
        if owner.host == socket.gethostname():
            # Whoever it was is gone, since it would keep the flock.
            if not certain and owner.is_alive():
                raise self._taken_error(owner)
        elif not steal:
            raise RunError(
                f"run {self.folder.name} is locked by process {owner.pid} on {owner.host}, another "
                "machine, and nobody here can tell whether that is still there",
                f"If it is gone, take the run over: iddm resume {self.folder.name} --steal-lock",
            )

    def _read_owner(self) -> LockOwner | None:
        try:
            owner = LockOwner(**json.loads(self._record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return owner if isinstance(owner.pid, int) and isinstance(owner.host, str) else None

    def _taken_error(self, owner: LockOwner | None) -> RunError:
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        return RunError(
            f"run {self.folder.name} is being trained by {who}",
            "Wait for it, or stop it with Ctrl-C; it saves before it ends.",
        )

    def _lock_error(self, error: OSError) -> RunError:
        return RunError(f"run {self.folder.name} cannot be locked: {error.strerror}")


def _boot_id() -> str:
    """Return what tells this start of the machine from others, where the system says it."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _process_start(pid: int) -> float | None:
    """Return when a process began, or None where there is none."""
    import psutil

    try:
        # Not since the epoch: that would move with the clock.
        return float(psutil.Process(pid).create_time() - psutil.boot_time())
    except psutil.Error:
        return None
