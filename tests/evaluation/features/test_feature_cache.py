import json
import threading

import pytest
import torch
from safetensors.torch import save

from iddm_cli.evaluation.features.feature_cache import FACTS_FILE, TENSORS_FILE, FeatureCache

FACTS = {"images": "abc", "seed": 3}
TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


@pytest.fixture
def cache(tmp_path):
    cache = FeatureCache(tmp_path / "new" / "cache")
    cache.save("entry", FACTS, TENSORS)
    return cache


def test_what_is_saved_is_loaded(cache):
    loaded = cache.load("entry", FACTS)
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)
    assert cache.load("other", FACTS) is None


@pytest.mark.parametrize("facts", [{"images": "abd", "seed": 3}, {"images": "abc"}, {}])
def test_an_entry_of_something_else_is_not_used(cache, facts):
    assert cache.load("entry", facts) is None


@pytest.mark.parametrize("name", [TENSORS_FILE, FACTS_FILE])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: b"",
        lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        lambda content: b"[" * 100_000,
        lambda content: b"\xff\x00" * 50,
        None,
    ],
)
def test_a_damaged_entry_is_not_used_and_replaced(cache, name, damage):
    path = cache.folder / "entry" / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    assert cache.load("entry", FACTS) is None
    cache.save("entry", FACTS, TENSORS)
    assert cache.load("entry", FACTS) is not None


def test_a_foreign_file_of_the_right_digest_is_not_used(cache):
    import hashlib

    for content in (b"not safetensors", save({"a": torch.tensor([float("nan")])})):
        (cache.folder / "entry" / TENSORS_FILE).write_bytes(content)
        facts = {**FACTS, "format": 1, "sha256": hashlib.sha256(content).hexdigest()}
        (cache.folder / "entry" / FACTS_FILE).write_text(json.dumps(facts))
        assert cache.load("entry", FACTS) is None


def test_writers_at_once_leave_a_whole_entry(cache):
    failures = []

    def write():
        try:
            for _ in range(10):
                cache.save("entry", FACTS, TENSORS)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.load("entry", FACTS) is not None


def test_a_folder_that_cannot_be_written_costs_no_result(tmp_path):
    (tmp_path / "file").write_text("")
    cache = FeatureCache(tmp_path / "file" / "cache")
    cache.save("entry", FACTS, TENSORS)
    assert cache.load("entry", FACTS) is None


def test_old_features_are_removed(cache, monkeypatch):
    monkeypatch.setattr("iddm_cli.evaluation.features.feature_cache.KEPT", 3)
    for i in range(6):
        cache.save(f"features-{i}", FACTS, TENSORS)
    left = sorted(path.name for path in cache.folder.iterdir())
    assert left == ["entry", "features-3", "features-4", "features-5"]
