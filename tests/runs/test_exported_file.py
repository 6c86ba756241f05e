"""The record of an exported file: damage, other formats and other files are refused."""

import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from iddm_cli.errors import CheckpointError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.runs.exported_file import open_exported_file
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from tests.export.conftest import trained
from tests.export.exported_files import rewritten


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "steel.safetensors"
    path.write_bytes(build_safetensors(trained()))
    return path


def test_the_hint_for_a_newer_format_is_a_newer_version(file):
    rewritten(file, lambda record: record.update(format=2))
    with pytest.raises(CheckpointError, match="has format 2") as refused:
        open_exported_file(file)
    assert "version of iddm" in refused.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1}, {"step": "5"}, {"classes": "abc"}, {"weights": "best"}, {"profile": []},
        {"format": True}, {"sha256": "x"}, {"run": 5},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_of_wrong_types_is_damage(file, change):
    rewritten(file, lambda record: record.update(change))
    with pytest.raises(CheckpointError, match="damaged"):
        open_exported_file(file)


def test_the_hint_for_another_file_is_how_to_export_one(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(save({"weight": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match="was not exported by iddm") as refused:
        open_exported_file(path)
    assert "iddm export safetensors" in refused.value.hint


def test_a_pipe_does_not_hold_anybody_up(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        open_exported_file(tmp_path / "pipe.safetensors")


def test_a_header_that_lies_about_its_size_takes_no_memory(tmp_path):
    path = tmp_path / "liar.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        open_exported_file(path)


def test_the_range_of_values_is_kept_and_its_damage_noticed(tmp_path):
    path = tmp_path / "lungs.safetensors"
    values = ValueRange("uint16", (300.0,), (3300.0,))
    path.write_bytes(build_safetensors(replace(trained(), values=values)))
    assert open_exported_file(path).read_values() == values
    path.write_bytes(build_safetensors(trained()))
    exported = open_exported_file(path)
    assert exported.read_values() == EIGHT_BIT
    assert "values" not in exported.record.dataset, "as in files of earlier versions"
    damaged = exported.record.model_copy(update={"dataset": {"values": {"dtype": "?"}}})
    with pytest.raises(CheckpointError, match=r"is damaged: dataset\.values"):
        replace(exported, record=damaged).read_values()
