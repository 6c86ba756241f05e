"""Averages of a chosen length on the disk: what is written is read, and damage is found."""

import json

import pytest
import torch

from iddm_cli.checkpoints.averages import AverageFolder
from iddm_cli.errors import CheckpointError

TENSORS = {"a": torch.tensor([0.5, 1.0])}


def write(folder: AverageFolder, name: str = "average-0.1", step: int = 20):
    facts = {"name": name, "length": 0.1, "gamma": 6.9, "step": step, "similarity": 0.99}
    return folder.write(TENSORS, facts | {"combined": []})


@pytest.fixture
def folder(tmp_path) -> AverageFolder:
    return AverageFolder(tmp_path / "averages")


def test_what_is_written_is_read(folder):
    made = write(folder)
    found = folder.open("average-0.1", 20)
    assert found == made
    assert (found.step, found.digest("average-0.1")) == (20, made.record.weights.sha256)
    assert torch.equal(found.read("average-0.1", TENSORS)["a"], TENSORS["a"])
    with pytest.raises(CheckpointError, match="wrong shape"):
        found.read("average-0.1", {"a": torch.zeros(3)})


def test_names_are_listed(folder):
    assert folder.list_names() == []
    write(folder, "average-0.1", 20), write(folder, "average-0.05", 20), write(folder, step=10)
    (folder.path / "average-0.1-step-1.json").touch()
    (folder.path / "notes.json").touch()
    names = [("average-0.05", 20), ("average-0.1", 10), ("average-0.1", 20)]
    assert folder.list_names() == names


def test_damaged_weights_are_found(folder):
    path = write(folder).path
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(CheckpointError, match="SHA-256"):
        folder.open("average-0.1", 20).read("average-0.1")


@pytest.mark.parametrize("change", [{"format": 2}, {"step": 21}, {"length": "long"}, None])
def test_a_damaged_record_is_found(folder, change):
    path = write(folder).path.with_suffix(".json")
    text = "{" if change is None else json.dumps(json.loads(path.read_text()) | change)
    path.write_text(text)
    with pytest.raises(CheckpointError, match="damaged"):
        folder.open("average-0.1", 20)
