"""One checkpoint: read as it was saved, verified before, and refused where it does not fit."""

import json

import pytest
import torch

from iddm_cli.checkpoints.checkpoint import open_checkpoint
from iddm_cli.checkpoints.tensors import check_compatible, specs_of
from iddm_cli.errors import CheckpointError
from tests.checkpoints.conftest import STATE, parts, save


def test_what_is_saved_is_read(folder):
    save(folder, 5)
    saved, damaged = folder.latest_valid()
    assert (saved.step, saved.numerics, damaged) == (5, {"kernels": "reference", "threads": 1}, [])
    for part, tensors in parts(5).items():
        read = saved.read(part)
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_channels_last_tensors_are_saved_by_value(folder):
    tensor = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    folder.save(1, {name: {"w": tensor} for name in ("model", "average", "optimizer")}, STATE)
    assert torch.equal(folder.latest_valid()[0].read("model")["w"], tensor)


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
