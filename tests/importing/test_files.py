"""Files from elsewhere: their kind, and JSON that is damaged."""

import os
from pathlib import Path

import pytest
import torch

from iddm_cli.build.importing import import_model
from iddm_cli.errors import CheckpointError
from iddm_cli.importing.options import ImportOptions
from tests.importing.hostile_files import refused


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{", b"[" * 10**5, b" " * (2**22 + 1)])
def test_damaged_json_is_one_sentence(folder, content):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        import_model(folder, ImportOptions())


def test_a_pipe_or_device_is_refused_without_reading_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "folder.pt").mkdir()
    for name in ("pipe.pt", "folder.pt", "missing.pt"):
        refused(tmp_path / name)
    refused(Path("/dev/zero"))


def test_the_hint_for_an_old_file_is_to_save_it_again(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    assert "save it with a newer version" in refused(path).hint
