"""Claims: locks made of files alone, for file systems that cannot lock a file.

Each process that wants a lock creates a file of its own, a claim, and looks at the claims of the
others. It holds the lock once it has seen no other claim while its own was there. So no two can
hold it: the one that created its claim later must have seen the other one. Where several meet, the
one with the first name waits, and the others withdraw for a moment.

The name of a claim says whose it is, so that anyone may remove the claim of a process that has
ended. No name is used twice: nobody can remove a live claim by mistake. A claim of another machine
counts as long as its owner refreshes it.
"""

import contextlib
import hashlib
import random
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iddm_cli.storage.owner import LockOwner, is_running, read_boot_id, read_namespace

REFRESH_SECONDS = 20.0
STALE_SECONDS = 120.0
"""A claim of another machine that was not refreshed for so long belongs to an ended process."""

CONTENTION_SECONDS = 3.0
"""How long processes that all want a free lock try to agree, whatever their time limit."""

LISTING_TRIES = 10
"""How often to look for the own claim in a folder whose listing lags behind."""

HELD = b"held\n"
"""Content of the claim of a process that holds the lock; the others are empty."""

CLAIM = re.compile(r".*\.claim-([0-9a-f]{12})-([0-9a-f]{8})-(\d+)-(\d+\.\d\d)-[0-9a-f]{8}")


class ClaimTakenError(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True)
class _Machine:
    """This machine, as it is written in the names of claims.

    Attributes:
        name: Digest of its host name, and of the namespace of its process ids.
        boot: Digest of its boot.
    """

    name: str
    boot: str

    @classmethod
    def current(cls) -> "_Machine":
        return cls(
            _digest(f"{socket.gethostname()} {read_namespace()}")[:12], _digest(read_boot_id())[:8]
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


@contextlib.contextmanager
def hold_claim(path: Path, *, timeout: float, steal: bool = False) -> Iterator[None]:
    """Hold a lock without locking a file.

    Args:
        path: Path of the lock; claims are its siblings.
        timeout: How long to wait for another process, in seconds; negative: for ever.
        steal: Whether to ignore the claims of other machines.

    Raises:
        ClaimTakenError: Another process holds it.
        OSError: The folder cannot be written to.
    """
    machine, owner = _Machine.current(), LockOwner.current()
    facts = f"{machine.name}-{machine.boot}-{owner.pid}-{owner.started:.2f}"
    claim = path.with_name(f"{path.name}.claim-{facts}-{secrets.token_hex(4)}")
    done = threading.Event()
    try:
        _acquire(path, claim, machine, timeout=timeout, steal=steal)
        claim.write_bytes(HELD)
        threading.Thread(target=_refresh, args=(claim, done), daemon=True).start()
        yield
    finally:
        done.set()
        with contextlib.suppress(OSError):
            claim.unlink(missing_ok=True)


def _acquire(path: Path, claim: Path, machine: _Machine, *, timeout: float, steal: bool) -> None:
    begun = time.monotonic()
    while True:
        claim.touch()
        rivals = _list_rivals(path, claim, machine, steal=steal)
        if not rivals:
            return
        waited = time.monotonic() - begun
        is_held = any(_is_held(rival) for rival in rivals)
        if 0 <= timeout <= waited and (is_held or waited >= CONTENTION_SECONDS):
            raise ClaimTakenError
        if claim.name > min(rival.name for rival in rivals):
            claim.unlink(missing_ok=True)
        time.sleep(random.uniform(0.01, 0.05))


def _list_rivals(path: Path, claim: Path, machine: _Machine, *, steal: bool) -> list[Path]:
    """Return the claims of other live processes; remove those of processes that have ended."""
    prefix = f"{path.name}.claim-"
    for _ in range(LISTING_TRIES):
        claims = [entry for entry in path.parent.iterdir() if entry.name.startswith(prefix)]
        if any(entry.name == claim.name for entry in claims):
            break
        time.sleep(0.02)
    rivals = []
    for rival in claims:
        if rival.name == claim.name:
            continue
        if _is_live(rival, claim, machine, steal=steal):
            rivals.append(rival)
        else:
            with contextlib.suppress(OSError):
                rival.unlink(missing_ok=True)
    return rivals


def _is_live(rival: Path, claim: Path, machine: _Machine, *, steal: bool) -> bool:
    known = CLAIM.fullmatch(rival.name)
    if known is None:
        return False
    name, boot, pid, started = known.groups()
    if name == machine.name:
        return boot == machine.boot and is_running(int(pid), float(started))
    # Both times are those of the file system, so the clocks of the machines do not matter.
    return not steal and _read_mtime(claim) - _read_mtime(rival) < STALE_SECONDS


def _read_mtime(claim: Path) -> float:
    try:
        return claim.stat().st_mtime
    except OSError:  # withdrawn meanwhile
        return 0.0


def _is_held(claim: Path) -> bool:
    try:
        return claim.stat().st_size > 0
    except OSError:
        return False


def _refresh(claim: Path, done: threading.Event) -> None:
    while not done.wait(REFRESH_SECONDS):
        # Opened so that a claim that was released meanwhile is not created again.
        with contextlib.suppress(OSError), claim.open("r+b") as handle:
            handle.write(HELD)
