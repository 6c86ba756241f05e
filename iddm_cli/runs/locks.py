"""Run locks: only one process at a time trains a run, on any machine.

A lock consists of two files. A lock of `.lock` excludes other processes of this machine, and is
free again when its process ends. `lock.json` names the owner, since other machines that share the
folder may not see that lock; a lock of another machine can only be stolen.
"""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from iddm_cli import durable
from iddm_cli.errors import RunError
from iddm_cli.storage.file_locks import LockHeldError, hold_lock
from iddm_cli.storage.owner import LockOwner

ACQUIRE_TIMEOUT_SECONDS = 0.3
"""Time to wait for a process that only checks whether the lock is free."""


LockPurpose = Literal["trained", "distilled", "tuned"]

TRAINING: LockPurpose = "trained"
"""What a run is locked for where lock.json does not say."""

ADVICE = {
    "trained": "it saves a checkpoint before it exits",
    "distilled": "it saves a checkpoint before it exits",
    "tuned": "that leaves the run as it was",
}
"""What Ctrl-C does to the process that holds the lock, by its purpose."""


class RunLock:
    """The lock of a run.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._owner_file = folder / "lock.json"

    @contextlib.contextmanager
    def hold(self, *, steal: bool = False, purpose: LockPurpose = TRAINING) -> Iterator[None]:
        """Hold the lock.

        Args:
            steal: Whether to take the lock from a process on another machine.
            purpose: What is done to the run meanwhile, for other processes' messages.

        Raises:
            RunError: Another process holds the lock, or its files cannot be written.
        """
        with self._exclude_others(steal=steal):
            self._check_owner(steal=steal)
            recorded = "" if purpose == TRAINING else purpose
            owner = replace(LockOwner.current(), purpose=recorded)
            try:
                durable.write_file(self._owner_file, json.dumps(owner.to_json()).encode())
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
        if owner is not None and not owner.is_current():
            raise RunError(
                f"run {self.folder.name} was taken over by process {owner.pid} on {owner.host}",
                "This process stops writing to it.",
            )

    def is_ours(self) -> bool:
        """Return whether lock.json names this process."""
        owner = self._read_owner()
        return owner is not None and owner.is_current()

    def is_free(self) -> bool:
        """Return whether no process holds the lock."""
        try:
            with self._exclude_others():
                self._check_owner(steal=False)
        except RunError:
            return False
        return True

    @contextlib.contextmanager
    def _exclude_others(self, *, steal: bool = False) -> Iterator[None]:
        """Exclude other processes of this machine."""
        with contextlib.ExitStack() as stack:
            path = self.folder / ".lock"
            lock = hold_lock(path, timeout=ACQUIRE_TIMEOUT_SECONDS, steal=steal)
            try:
                stack.enter_context(lock)
            except LockHeldError:
                raise self._taken_error(self._read_owner()) from None
            except OSError as error:
                raise self._lock_error(error) from error
            yield

    def _check_owner(self, *, steal: bool) -> None:
        owner = self._read_owner()
        if owner is None or owner.is_current():
            return
        if owner.host == socket.gethostname():
            # Some file systems accept every lock, and exclude nobody.
            if owner.is_alive():
                raise self._taken_error(owner)
        elif not steal:
            raise RunError(
                f"run {self.folder.name} is locked by process {owner.pid} on {owner.host}, another "
                f"machine, and may still be {_find_purpose(owner)} there",
                f"If that process is gone, take over: iddm resume {self.folder.name} --steal-lock",
            )

    def _read_owner(self) -> LockOwner | None:
        try:
            file = durable.find(self._owner_file)
            owner = LockOwner(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        valid = isinstance(owner.pid, int) and isinstance(owner.host, str)
        valid = valid and isinstance(owner.purpose, str)
        return owner if valid and isinstance(owner.started, int | float) else None

    def _taken_error(self, owner: LockOwner | None) -> RunError:
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        purpose = _find_purpose(owner)
        return RunError(
            f"run {self.folder.name} is being {purpose} by {who}",
            f"Wait for it, or stop it with Ctrl-C; {ADVICE[purpose]}.",
        )

    def _lock_error(self, error: OSError) -> RunError:
        return RunError(f"run {self.folder.name} cannot be locked: {error.strerror}")


def _find_purpose(owner: LockOwner | None) -> str:
    """Return what is done to a run by who holds its lock; one of a later version trains it."""
    return owner.purpose if owner is not None and owner.purpose in ADVICE else TRAINING
