"""Locks between processes, on every file system."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.storage import features
from iddm_cli.storage.claims import ClaimTakenError, hold_claim

if TYPE_CHECKING:
    from filelock import BaseFileLock


class LockHeldError(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def hold_lock(path: Path, *, timeout: float, steal: bool = False) -> Iterator[None]:
    """Hold a lock: of the operating system where the file system offers that, else of claims.

    The operating system releases its lock when the process ends, however that happens. A claim is
    recognised as stale then.

    Args:
        path: The lock's file.
        timeout: How long to wait for another process, in seconds; negative: for ever.
        steal: Whether to ignore the claims of other machines.

    Raises:
        LockHeldError: Another process holds it.
        OSError: The file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if not _lock_file(path, timeout, stack):
            try:
                stack.enter_context(hold_claim(path, timeout=timeout, steal=steal))
            except ClaimTakenError:
                raise LockHeldError(path) from None
            features.missing.report("lock", path.parent)
        yield


@contextlib.contextmanager
def hold_or_wait(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; wait while another process holds it, however long.

    Args:
        path: The lock's file.
        on_wait: Called once before waiting.

    Raises:
        OSError: The file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(path, timeout=0))
        except LockHeldError:
            on_wait()
            stack.enter_context(hold_lock(path, timeout=-1))
        yield


def has_file_locks(folder: Path) -> bool:
    """Return whether the file system of a folder can lock files; leaves a file `.lock` there."""
    with contextlib.ExitStack() as stack:
        return _lock_file(folder / ".lock", 0, stack)


def _lock_file(path: Path, timeout: float, stack: contextlib.ExitStack) -> bool:
    """Lock the file until the stack is closed; return whether the file system offers that."""
    from filelock import FileLock, Timeout

    # filelock's own fallback takes over stale locks only where names can be exchanged.
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise LockHeldError(path) from None
    except NotImplementedError:
        return False
    except OSError as error:
        if error.errno not in features.NO_LOCK:
            raise
        return False
    stack.callback(_release, lock)
    return True


def _release(lock: "BaseFileLock") -> None:
    with contextlib.suppress(OSError):  # the end of the process releases it at the latest
        lock.release()
