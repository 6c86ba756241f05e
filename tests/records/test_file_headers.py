"""Headers of safetensors files."""

import os

import pytest
import torch
from safetensors.torch import save

from iddm_cli.records.file_headers import read_header


def test_the_header_holds_shapes_and_metadata(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"x": torch.zeros(2)}, {"iddm": "1"}))
    header = read_header(path)
    assert header["__metadata__"] == {"iddm": "1"}
    assert header["x"]["shape"] == [2]


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, (2).to_bytes(8, "little") + b"[]"])
def test_another_file_has_none(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"header|JSON|Expecting"):
        read_header(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular"):
        read_header(tmp_path / "pipe")
