"""Parallel work: in order, bounded, and never held up or brought down by one bad item."""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, synchronize

import pytest

from iddm_cli.data.decoding import workers as parallel
from iddm_cli.data.decoding.workers import MAX_ADDRESS_SPACE, WorkerFailure, WorkerPool
from iddm_cli.errors import IddmError
from iddm_cli.machine import cpus, memory

SECONDS = 1.5


def work(item: int | str) -> object:
    """Do as the item says."""
    match item:
        case "hang":
            time.sleep(60)
        case "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "fail":
            raise ValueError("a defect")
        case "process":
            return os.getpid()
        case "eat":
            try:
                return len(bytearray(2 * MAX_ADDRESS_SPACE))
            except MemoryError:
                return "no more memory"
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
    return item


def test_results_come_in_order() -> None:
    with WorkerPool(2, timeout=SECONDS) as workers:
        lists = list(workers.map_ordered(work, range(23), chunk=5))
        assert [len(some) for some in lists] == [5, 5, 5, 5, 3]
        assert [item for some in lists for item in some] == list(range(23))
        assert list(workers.map_ordered(work, [], chunk=5)) == []


def test_items_are_taken_a_little_ahead_only() -> None:
    taken = []

    def items() -> object:
        for i in range(1000):
            taken.append(i)
            yield i

    with WorkerPool(2, timeout=SECONDS) as workers:
        results = workers.map_ordered(work, items(), chunk=5)
        for done in range(1, 6):
            next(results)
            assert len(taken) <= 5 * (done + 2 * 2)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [("hang", r"takes longer than 1\.5 seconds"), ("die", "the decoder crashed")],
)
def test_a_bad_item_is_lost_alone(bad: str, reason: str) -> None:
    items = [0, 1, bad, 3, 4, 5, 6]
    with WorkerPool(2, timeout=SECONDS if bad == "hang" else 60) as workers:
        results = [r for some in workers.map_ordered(work, items, chunk=4) for r in some]
    assert isinstance(results[2], WorkerFailure)
    assert re.search(reason, results[2].reason)
    assert [result for i, result in enumerate(results) if i != 2] == [0, 1, 3, 4, 5, 6]


def test_many_bad_items_in_one_list() -> None:
    with WorkerPool(2, timeout=SECONDS) as workers:
        results = workers.submit(work, ["die", 1, "die", "hang", 4]).results()
    assert [isinstance(result, WorkerFailure) for result in results] == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_a_process_that_the_system_kills_is_no_fault_of_its_image(monkeypatch) -> None:
    """Its images must not be left out of the training without a word."""
    counts = iter([3, 4])
    monkeypatch.setattr(memory, "count_oom_kills", lambda: next(counts))
    with WorkerPool(2, timeout=SECONDS) as workers:
        with pytest.raises(
            IddmError, match="system killed a process that decodes images; memory"
        ) as ended:
            workers.submit(work, [1, "be killed"]).results()
        assert "data.workers" in ended.value.hint
        assert workers.submit(work, [2]).results() == [2]


def test_a_process_killed_once_is_tried_again(tmp_path) -> None:
    with WorkerPool(1, timeout=SECONDS) as workers:
        assert workers.submit(be_killed_once, [str(tmp_path / "file")]).results() == ["done"]


def be_killed_once(file: str) -> str:
    if not os.path.exists(file):  # noqa: PTH110
        open(file, "w").close()  # noqa: PTH123
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.fixture
def given(monkeypatch) -> list[str]:
    """The notices that are given."""
    given: list[str] = []
    monkeypatch.setattr(parallel, "notify_once", given.append)
    return given


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "/dev/shm cannot be used: permission denied"),
        (FileNotFoundError(2, "No such file"), "/dev/shm cannot be used: no such file"),
        (OSError(28, "No space left on device"), "/dev/shm cannot be used: no space left"),
        (OSError(38, "Function not implemented"), "/dev/shm cannot be used: function not"),
        (OSError(24, "Too many open files"), "(ulimit -n)"),
    ],
)
def test_without_locks_the_work_is_done_in_this_process(monkeypatch, given, error, reason) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(synchronize._multiprocessing, "SemLock", fail)
    with WorkerPool(2, timeout=SECONDS) as workers:
        lists = list(workers.map_ordered(work, ["process", *range(5)], chunk=2))
    assert lists == [[os.getpid(), 0], [1, 2], [3, 4]]
    assert len(given) == 1
    assert reason in given[0]


def test_without_threads_the_work_is_done_in_this_process(monkeypatch, given) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with WorkerPool(2, timeout=SECONDS) as workers:
        assert workers.submit(work, ["process"]).results() == [os.getpid()]
    assert "ulimit -u" in given[0]


def test_processes_that_end_by_themselves_are_replaced(given) -> None:
    with WorkerPool(2, timeout=SECONDS) as workers:
        for _ in range(parallel.MAX_STARTS - 1):
            break_pool(workers)
            assert workers.submit(work, ["process"]).results() != [os.getpid()]
        break_pool(workers)
        assert workers.submit(work, ["process"]).results() == [os.getpid()]
    assert len(given) == 1


def break_pool(workers: WorkerPool) -> None:
    """End all processes of a pool, as if each had been killed while it had nothing to do."""
    waiting = workers.submit(work, ["hang"])
    workers._pool._pool_manager.handle_broken_pool(BrokenProcessPool("All workers expired"))
    waiting._items = ["process"]
    waiting.results()


@pytest.mark.parametrize(("free", "cores", "count"), [(8, 4, 4), (0.6, 4, 2), (0, 4, 1)])
def test_there_are_as_many_processes_as_cores_and_memory_allow(
    monkeypatch, free: float, cores: int, count: int
) -> None:
    bound = memory.MemoryBound(2**40, int(free * 2**30), "this machine")
    monkeypatch.setattr(memory, "free_memory", lambda: bound)
    monkeypatch.setattr(cpus, "count_cores", lambda: cores)
    with WorkerPool(0, timeout=1) as workers:
        assert workers.count == count


def test_a_fork_server_that_cannot_start_early_is_no_error(monkeypatch) -> None:
    def fail() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    preloaded: list[str] = []
    monkeypatch.setattr(forkserver, "ensure_running", fail)
    monkeypatch.setattr(forkserver, "set_forkserver_preload", preloaded.extend)
    parallel.start_early("colorsys")
    assert preloaded == [*parallel.PRELOADED, "colorsys"]


def test_a_defect_is_not_hidden() -> None:
    with WorkerPool(1, timeout=SECONDS) as workers, pytest.raises(ValueError, match="a defect"):
        workers.submit(work, ["fail"]).results()


def test_work_is_done_elsewhere_and_ctrl_c_is_the_parents() -> None:
    with WorkerPool(1, timeout=SECONDS) as workers:
        (process,) = workers.submit(work, ["process"]).results()
        assert process != os.getpid()
        assert workers.submit(work, ["interrupt"]).results() == ["interrupt"]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set on Linux only")
def test_memory_is_bounded() -> None:
    with WorkerPool(1, timeout=SECONDS) as workers:
        assert workers.submit(work, ["eat"]).results() == ["no more memory"]
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != MAX_ADDRESS_SPACE, "only over there"


def test_closing_ends_what_goes_on() -> None:
    began = time.monotonic()
    with WorkerPool(2, timeout=60) as workers:
        workers.submit(work, ["hang"])
    assert time.monotonic() - began < 20


STARTS_LATE = """
import sys, time
import pebble.pool.process
from iddm_cli.data.decoding import workers as parallel

prepare, stop = parallel._init_process, pebble.pool.process.stop_process

def arrive():
    time.sleep(0.5)
    return prepare

class Slow:
    def __reduce__(self):
        return arrive, ()

def stop_late(process):
    time.sleep(2)
    stop(process)

if __name__ == "__main__":
    pebble.pool.process.stop_process = stop_late
    parallel._init_process = Slow()
    with parallel.WorkerPool(2, timeout=5) as workers:
        workers.submit(abs, [1])
        while len(workers._pool._pool_manager.worker_manager.workers) < 2:
            time.sleep(0.01)
"""


def test_a_process_that_is_still_starting_does_not_complain_when_all_is_closed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STARTS_LATE)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
