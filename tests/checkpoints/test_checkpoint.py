"""Checkpoints: whole or absent, verified when read, and never the last good one lost."""

import errno
import json

import pytest
import torch

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint import open_checkpoint
from iddm_cli.checkpoints.folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.checkpoints.tensors import check_compatible, specs_of
from iddm_cli.errors import CheckpointError

FILES = ("model.safetensors", "average.safetensors", "optimizer.safetensors")
STATE = {"bits": {"threads": 1}, "scaler": {}}


def parts(step: int) -> dict:
    return {
        name: {"a": torch.full((3, 2), float(step)), "b.step": torch.tensor(float(number))}
        for number, name in enumerate(("model", "average", "optimizer"))
    }


def save(folder: CheckpointFolder, *steps: int) -> None:
    for step in steps:
        folder.save(step, parts(step), STATE)


@pytest.fixture
def folder(tmp_path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints", Retention(3))


def test_what_is_saved_is_read(folder):
    save(folder, 5)
    saved, damaged = folder.latest_valid()
    assert (saved.step, saved.numerics, damaged) == (5, {"threads": 1}, [])
    for part, tensors in parts(5).items():
        read = saved.read(part)
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_channels_last_tensors_are_saved_by_value(folder):
    tensor = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    folder.save(1, {name: {"w": tensor} for name in ("model", "average", "optimizer")}, STATE)
    assert torch.equal(folder.latest_valid()[0].read("model")["w"], tensor)


def test_only_safetensors_and_json_are_written(folder):
    save(folder, 5)
    names = {path.name for path in (folder.path / "step-00000005").iterdir()}
    assert names == {
        "model.safetensors",
        "average.safetensors",
        "optimizer.safetensors",
        "state.json",
    }


def test_the_newest_few_are_kept(folder):
    save(folder, 1, 2, 3, 10, 20)
    assert [path.name for path in folder.paths()] == [f"step-{n:08d}" for n in (3, 10, 20)]
    assert len(list(folder.path.iterdir())) == 3


@pytest.mark.parametrize(
    "file", ["model.safetensors", "average.safetensors", "optimizer.safetensors"]
)
@pytest.mark.parametrize("harm", ["flip", "cut", "delete", "swap"])
def test_any_damage_is_found_and_the_one_before_is_used(folder, file, harm):
    save(folder, 1, 2)
    path = folder.path / "step-00000002" / file
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[-3] ^= 4
        path.write_bytes(content)
    elif harm == "cut":
        path.write_bytes(content[:-1])
    elif harm == "delete":
        path.unlink()
    else:
        path.write_bytes((folder.path / "step-00000001" / file).read_bytes())
    saved, damaged = folder.latest_valid()
    assert saved.step == 1
    assert len(damaged) == 1
    assert file in damaged[0].problem
    with pytest.raises(CheckpointError):
        folder.at(2)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": "x"}', '{"format": 1, "step": 2}']
)
def test_a_damaged_state_is_found(folder, content):
    save(folder, 1, 2)
    (folder.path / "step-00000002" / "state.json").write_text(content)
    assert folder.latest_valid()[0].step == 1


def test_a_newer_format_is_refused_by_number(folder):
    save(folder, 1)
    path = folder.path / "step-00000001"
    document = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps(document | {"format": 9}))
    with pytest.raises(CheckpointError, match="format 9"):
        open_checkpoint(path)


def test_nothing_usable_is_one_clear_error(folder):
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        folder.latest_valid()
    save(folder, 1, 2)
    for path in folder.paths():
        (path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError) as refused:
        folder.latest_valid()
    assert len(refused.value.problem.splitlines()) == 2
    with pytest.raises(CheckpointError) as refused:
        folder.at(7)
    assert refused.value.hint == "Available steps: 1, 2."


def test_what_a_killed_save_left_is_ignored_and_swept(folder):
    save(folder, 1)
    partial = folder.path / f"{durable.PARTIAL_PREFIX}99-step-00000002"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    assert folder.latest_valid()[0].step == 1
    save(folder, 3)
    assert not partial.exists()


def test_a_damaged_one_makes_way_when_its_step_is_saved_again(folder):
    save(folder, 1, 2)
    (folder.path / "step-00000002" / "model.safetensors").write_bytes(b"")
    save(folder, 2)
    assert folder.latest_valid()[0].step == 2
    assert any("damaged" in path.name for path in folder.path.iterdir())


@pytest.mark.parametrize("fails_at", [0, 1, 2, 3])
def test_a_full_disk_costs_no_earlier_checkpoint(folder, monkeypatch, fails_at):
    save(folder, 1, 2, 3)
    calls = iter(range(9))
    write = durable.disk.write

    def full(handle, content):
        if next(calls) == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(handle, content)

    monkeypatch.setattr(durable.disk, "write", full)
    before = sorted(folder.path.rglob("*"))
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(folder, 4)
    assert sorted(folder.path.rglob("*")) == before
    assert folder.latest_valid()[0].step == 3
    assert len(folder.paths()) == 3


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"a": torch.ones(2)}, "missing: b"),
        ({"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(1)}, "unexpected: c"),
        ({"a": torch.ones(2), "b": torch.ones(4)}, r"wrong shape: b is \[4\], should be \[3\]"),
        ({"a": torch.ones(2), "b": torch.ones(3).half()}, "wrong type: b is float16"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(folder, saved, said):
    targets = {"a": torch.zeros(2), "b": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=said):
        check_compatible(specs_of(targets), specs_of(saved), "average")
    folder.save(1, dict.fromkeys(("model", "average", "optimizer"), saved), STATE)
    with pytest.raises(CheckpointError, match=said):
        folder.latest_valid()[0].read("average", targets)
