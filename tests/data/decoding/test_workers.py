"""Parallel work: in order, bounded, and never held up or brought down by one bad item."""

import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

from iddm_cli.data.decoding.workers import MAX_ADDRESS_SPACE, WorkerFailure, WorkerPool

SECONDS = 1.5


def work(item: int | str) -> object:
    """Do as the item says."""
    match item:
        case "hang":
            time.sleep(60)
        case "die":
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
    with WorkerPool(2, timeout=SECONDS) as workers:
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
