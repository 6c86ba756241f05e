"""Limits of the system on this process: raised where possible, and named where one was reached.

Python reports a limit by an error number, as if of a file; the user needs to know which limit it
was, how high it is, and the command that raises it.
"""

import contextlib
import errno
import os
import sys
import threading
from pathlib import Path

from iddm_cli.machine import cpus
from iddm_cli.machine.cgroups import ROOT, find_groups
from iddm_cli.machine.memory import describe_limit

OPEN_FILES = 4096
"""Open files wanted: the server's connections, worker processes, and a model's files."""

FEW_PROCESSES = 2048
"""Limits below this on processes and threads may be too few for one thread on each core."""

LOADER_WORDS = ("failed to map segment", "cannot allocate memory", "cannot create shared object")
"""Words of the dynamic loader's errors where a library does not fit the address space."""


def raise_file_limit(wanted: int = OPEN_FILES) -> None:
    """Raise the process's limit on open files to `wanted`, as far as the system allows.

    Common limits are 1024 or 256, fewer than the connections allowed; beyond the limit asyncio
    logs a traceback for each connection that it fails to accept.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    current, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    if maximum != resource.RLIM_INFINITY:
        wanted = min(wanted, maximum)
    if current != resource.RLIM_INFINITY and current < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, maximum))


def count_startable_threads(wanted: int) -> int:
    """Return how many threads this process can start, up to `wanted`, by starting them.

    OpenMP, which computes in threads, ends the whole program where it cannot start one.
    """
    done = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(wanted):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):
        pass
    finally:
        done.set()
        for thread in started:
            thread.join()
    return len(started)


def adapt_to_few_threads(root: Path = ROOT) -> None:
    """Let numpy's OpenBLAS start no threads where the system does not allow one for each core.

    It starts them when it is imported, and ends the program where it cannot.
    """
    most = [limit for limit, _ in _read_process_limits(root)]
    if most and min(most) < FEW_PROCESSES:
        cores = cpus.count_visible_cores()
        if count_startable_threads(cores) < cores:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def reraise_limit(error: BaseException) -> None:
    """Raise an error again that says nothing about the file, but about the limits of the process.

    An image that cannot be opened because too many files are open is not damaged.
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise error


def explain_error(error: BaseException, root: Path = ROOT) -> tuple[str, str] | None:
    """Return which limit an error comes from and what raises it; None for any other error.

    Returns:
        The problem, and a hint.
    """
    number = error.errno if isinstance(error, OSError) else None
    words = str(error).lower()
    if number in (errno.EMFILE, errno.ENFILE):
        return _explain_open_files()
    if number == errno.EAGAIN or "can't start new thread" in words:
        return describe_process_limit(root)
    if number == errno.EFBIG and (size := _read_number("RLIMIT_FSIZE")) is not None:
        return (
            f"no file may be larger than {size:,} bytes (ulimit -f)",
            "Raise the limit: ulimit -f unlimited.",
        )
    is_unloadable = isinstance(error, ImportError) and any(w in words for w in LOADER_WORDS)
    if "fbgemm" in words and not (root / "proc/cpuinfo").exists():
        return "PyTorch needs /proc, which is not mounted here", "Run: mount -t proc proc /proc"
    if number == errno.ENOMEM or isinstance(error, MemoryError) or is_unloadable:
        return _explain_memory(is_unloadable=is_unloadable, root=root)
    return None


def _explain_open_files() -> tuple[str, str]:
    return (
        f"this process may not open more than {_read_number('RLIMIT_NOFILE')} files (ulimit -n)",
        "Raise the limit: ulimit -n 1024, or docker run --ulimit nofile=1024.",
    )


def describe_process_limit(root: Path = ROOT) -> tuple[str, str]:
    """Return that no further process or thread can be started, with the limits, and a hint."""
    known = [f"{most:,} {scope}" for most, scope in _read_process_limits(root)]
    return (
        "the system does not allow another process or thread"
        + (f"; the limit is {' and '.join(known)}" if known else ""),
        "Raise the limit (ulimit -u, docker run --pids-limit), or set data.workers and "
        "runtime.threads to 1.",
    )


def _read_process_limits(root: Path) -> list[tuple[int, str]]:
    """Return how many processes and threads are allowed, and to whom."""
    limits = [(_read_number("RLIMIT_NPROC"), "for this user (ulimit -u)")]
    for group in find_groups("pids", root):
        limits.append((group.read_number("pids.max"), "for the container or job (pids.max)"))
    return [(limit, scope) for limit, scope in limits if limit is not None]


def _explain_memory(*, is_unloadable: bool, root: Path) -> tuple[str, str]:
    problem = f"memory ran out: at most {describe_limit(root)}"
    if is_unloadable:
        problem = f"PyTorch does not fit the memory that this process may use: {describe_limit()}"
    return (
        problem,
        "Raise the limit (ulimit -v, docker run --memory), or use less: training.micro_batch: auto "
        "and data.workers: 1.",
    )


def _read_number(name: str) -> int | None:
    """Return a limit of this process; None if there is none."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(getattr(resource, name))
    return None if limit == resource.RLIM_INFINITY else limit
