"""Tensors in files: what differs is named, and what is forged is shown in brief."""

import errno
import os

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save, save_file

from iddm_cli.checkpoints.tensors import (
    HEADER_BYTES,
    HEADER_BYTES_EACH,
    MAX_SHOWN,
    check_compatible,
    check_header_length,
    copy_to_cpu,
    find_non_finite,
    load_tensors,
    read_specs,
    specs_of,
    truncate,
)
from iddm_cli.errors import CheckpointError

TENSORS = {
    "a": torch.zeros(2, 3), "b": torch.zeros(()), "c": torch.zeros(1, dtype=torch.bfloat16),
    "d": torch.zeros(4, dtype=torch.int64),
}  # fmt: skip


def test_the_specs_in_a_header_are_those_of_the_tensors(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors")
    assert read_specs(tmp_path / "a.safetensors") == specs_of(TENSORS)


def test_equal_specs_are_compatible_in_any_order():
    specs = specs_of(TENSORS)
    check_compatible(specs, dict(reversed(specs.items())), "average")


def test_many_differences_are_cut_after_three():
    targets = {f"t{i}": ([1], "float32") for i in range(5)}
    with pytest.raises(CheckpointError, match=r"missing: t0, t1, t2 \.\.\.$"):
        check_compatible(targets, {}, "average")


@pytest.mark.parametrize(("over", "tensors"), [(0, 0), (0, 9), (1, 0), (1, 9)])
def test_a_header_may_grow_with_its_tensors_and_no_further(tmp_path, over, tensors):
    length = HEADER_BYTES + HEADER_BYTES_EACH * tensors + over
    (tmp_path / "a").write_bytes(length.to_bytes(8, "little") + b"{}")
    if not over:
        check_header_length(tmp_path / "a", tensors)
        return
    with pytest.raises(CheckpointError, match=f"its header claims {length:,} bytes"):
        check_header_length(tmp_path / "a", tensors)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_is_found(value):
    tensors = {"a": torch.zeros(9), "b": torch.zeros(9)}
    assert find_non_finite(tensors) is None
    tensors["b"][8] = value
    assert find_non_finite(tensors) == "b"


def test_a_long_name_is_shown_in_brief_and_a_short_one_whole():
    assert truncate("x" * MAX_SHOWN) == "x" * MAX_SHOWN
    assert truncate("x" * (MAX_SHOWN + 1)) == "x" * MAX_SHOWN + "..."


def test_copies_do_not_change_with_their_originals():
    original = torch.ones(1, 2, 3, 3).to(memory_format=torch.channels_last)
    copy = copy_to_cpu({"a": original})["a"]
    original.zero_()
    assert copy.sum() == 18
    assert copy.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("code", [errno.ENODEV, errno.EINVAL, errno.EACCES])
def test_a_file_that_cannot_be_mapped_is_read(tmp_path, monkeypatch, code):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(f"{os.strerror(code)} (os error {code})")  # as safetensors does

    path = tmp_path / "a.safetensors"
    path.write_bytes(save(TENSORS))
    specs = read_specs(path)
    monkeypatch.setattr("iddm_cli.checkpoints.tensors.load_file", refuse)
    monkeypatch.setattr("iddm_cli.checkpoints.tensors.safe_open", refuse)
    assert read_specs(path) == specs
    read = load_tensors(path)
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())
    assert read.keys() == TENSORS.keys()


def test_a_file_that_cannot_be_mapped_and_is_damaged_is_an_error(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("No such device (os error 19)")

    (tmp_path / "a").write_bytes(b"damaged")
    monkeypatch.setattr("iddm_cli.checkpoints.tensors.load_file", refuse)
    monkeypatch.setattr("iddm_cli.checkpoints.tensors.safe_open", refuse)
    for read in (load_tensors, read_specs):
        with pytest.raises(SafetensorError):
            read(tmp_path / "a")
