"""Limits of the system: raised where that is possible, and named where one was reached."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from iddm_cli.data.decoding.images import decode_image_file
from iddm_cli.data.sources.indexing.listing import list_folder
from iddm_cli.machine import system_limits as limits

resource = pytest.importorskip("resource")


def test_the_file_limit_is_raised_and_never_lowered():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        limits.raise_file_limit(700)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (700, before[1])
        limits.raise_file_limit(600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("error", "problem", "hint"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "files (ulimit -n)", "ulimit -n 1024"),
        (BlockingIOError(errno.EAGAIN, "try again"), "process or thread", "--pids-limit"),
        (RuntimeError("can't start new thread"), "(ulimit -u)", "runtime.threads"),
        (MemoryError(), "memory ran out: at most", "training.micro_batch: auto"),
        (OSError(errno.ENOMEM, "no memory"), "memory ran out", "data.workers"),
        (ImportError("libtorch.so: failed to map segment"), "PyTorch does not fit", "ulimit -v"),
    ],
)
def test_the_limit_behind_an_error_is_named(error, problem, hint):
    found = limits.explain_error(error)
    assert found is not None
    assert problem in found[0]
    assert hint in found[1]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        PermissionError(errno.EACCES, "no"),
        RuntimeError("shapes differ"),
        ImportError("no module named x"),
        OSError(errno.EFBIG, "more than 4 GB, on FAT"),
    ],
)
def test_other_errors_are_no_limits(error):
    assert limits.explain_error(error) is None


def test_a_missing_proc_is_no_bug(system):
    error = RuntimeError("Your CPU does not support FBGEMM.")
    found = limits.explain_error(error, system.root)
    assert found is not None
    assert "needs /proc" in found[0]
    system.write("proc/cpuinfo", "")
    assert limits.explain_error(error, system.root) is None


def test_the_largest_file_is_named(tmp_path):
    code = (
        "import pathlib, resource; from iddm_cli.machine import system_limits as limits\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    pathlib.Path('file').write_bytes(bytes(2000))\n"
        "except OSError as error:\n"
        "    print(limits.explain_error(error)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "no file may be larger than 1,000 bytes (ulimit -f)\n"


def test_the_limit_of_a_container_on_processes_is_named(system):
    system.mount_v2("/a")
    system.set("a", pids_max=64)
    system.set("", pids_max="max")
    problem, _ = limits.describe_process_limit(system.root)
    assert "64 for the container or job (pids.max)" in problem


def test_threads_are_counted_as_far_as_they_can_be_started(monkeypatch):
    assert limits.count_startable_threads(0) == 0
    assert limits.count_startable_threads(3) == 3
    start, started = threading.Thread.start, []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    assert limits.count_startable_threads(3) == 2
    assert not any(thread.is_alive() for thread in started)


@pytest.mark.parametrize(("most", "expected"), [(1, "1"), (100_000, None)])
def test_openblas_starts_no_threads_where_there_may_be_few(system, monkeypatch, most, expected):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setattr(limits, "_read_number", lambda _: None)
    monkeypatch.setattr(limits, "count_startable_threads", lambda _: 0)
    system.mount_v2()
    system.set("", pids_max=most)
    limits.adapt_to_few_threads(system.root)
    assert os.environ.get("OPENBLAS_NUM_THREADS") == expected
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_file_that_a_limit_keeps_closed_is_not_damaged(tmp_path, monkeypatch, number):
    def fail(*_: object) -> None:
        raise OSError(number, "Too many open files")

    monkeypatch.setattr(os, "open", fail)
    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(OSError, match="Too many"):
        decode_image_file(tmp_path / "x.png")
    with pytest.raises(OSError, match="Too many"):
        list_folder(tmp_path)
    limits.reraise_limit(OSError(errno.EIO, "damaged"))
