"""Claims: what another process builds is left to it, and its result taken over."""

import threading
from pathlib import Path

from iddm_cli.data.packs.slices.claimed_slices import build_claimed, hold_all
from iddm_cli.storage.file_locks import hold_lock


def test_slices_that_another_process_builds_come_last(tmp_path: Path) -> None:
    claims = [tmp_path / f"{i}.lock" for i in range(3)]
    built: list[int] = []
    waited = threading.Event()
    held, release = threading.Event(), threading.Event()

    def other() -> None:
        with hold_lock(claims[0], timeout=-1):
            held.set()
            release.wait()

    def wait() -> None:
        waited.set()
        release.set()

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    found = build_claimed(claims, lambda i: built.append(i) or i * 10, lambda: None, wait)
    thread.join()
    assert found == [0, 10, 20]
    assert built == [1, 2, 0]
    assert waited.is_set()


def test_a_whole_ends_the_work(tmp_path: Path) -> None:
    claims = [tmp_path / f"{i}.lock" for i in range(3)]
    built: list[int] = []
    find = lambda: "whole" if built else None  # noqa: E731
    assert build_claimed(claims, lambda i: built.append(i) or i, find, lambda: None) == "whole"
    assert built == [0]


def test_all_claims_at_once(tmp_path: Path) -> None:
    claims = [tmp_path / f"{i}.lock" for i in range(3)]
    with hold_all(claims, lambda: None):
        waits: list[bool] = []
        whole = iter([None, None, "whole"])
        thread = threading.Thread(
            target=build_claimed,
            args=(claims, lambda i: i, lambda: next(whole), lambda: waits.append(True)),
        )
        thread.start()
        while not waits:
            assert thread.is_alive()
    thread.join()
