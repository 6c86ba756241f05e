"""Garbage collection: rare during imports, as usual afterwards."""

import gc

import pytest

from iddm_cli.machine import garbage


class Node:
    """An object that refers to itself, so that only a collection frees it."""

    def __init__(self, freed: list[str], name: str) -> None:
        self.itself, self.freed, self.name = self, freed, name

    def __del__(self) -> None:
        self.freed.append(self.name)


@pytest.fixture(autouse=True)
def usual_collection():
    usual = gc.get_threshold()
    yield
    garbage.resume_collection()
    gc.set_threshold(*usual)
    gc.unfreeze()


def make_garbage(count: int) -> list[str]:
    freed: list[str] = []
    for number in range(count):
        Node(freed, str(number))
    return freed


def test_garbage_is_collected_rarely_until_it_is_resumed():
    gc.set_threshold(700, 10, 10)
    garbage.defer_collection()
    assert make_garbage(5_000) == []
    garbage.resume_collection()
    assert gc.get_threshold() == (700, 10, 10)
    assert len(make_garbage(5_000)) > 2_000


def test_a_second_deferral_does_not_lose_what_is_usual():
    gc.set_threshold(500, 10, 10)
    garbage.defer_collection()
    garbage.defer_collection()
    garbage.resume_collection()
    assert gc.get_threshold() == (500, 10, 10)


def test_resuming_without_a_deferral_changes_nothing():
    frozen = gc.get_freeze_count()
    garbage.resume_collection()
    assert gc.get_freeze_count() == frozen


def test_objects_from_before_are_not_looked_at_again():
    garbage.defer_collection()
    kept = [[] for _ in range(1_000)]
    garbage.resume_collection()
    assert gc.get_freeze_count() >= len(kept)
