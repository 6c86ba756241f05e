"""A damaged state.json: found and reported, and the checkpoint before it is used."""

import json

import pytest

from iddm_cli.checkpoints.checkpoint import open_checkpoint
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.checkpoints.state_file import sign_state
from iddm_cli.errors import CheckpointError
from tests.checkpoints.conftest import FILES, save


@pytest.fixture
def folder(tmp_path) -> CheckpointFolder:
    folder = CheckpointFolder(tmp_path / "checkpoints", Retention(9))
    save(folder, 1, 20)
    return folder


def edit(folder: CheckpointFolder, **changes) -> None:
    path = folder.path / "step-00000020" / "state.json"
    path.write_text(json.dumps(sign_state(json.loads(path.read_text()) | changes)))


@pytest.mark.parametrize("missing", ["format", "step", "bits", "scaler", "files"])
def test_a_state_that_lacks_something_is_skipped_and_reported(folder, missing):
    path = folder.path / "step-00000020" / "state.json"
    document = json.loads(path.read_text())
    del document[missing]
    path.write_text(json.dumps(document))
    saved, damaged = folder.latest_valid()
    assert saved.step == 1
    assert "step-00000020" in damaged[0].problem


def test_a_state_that_is_not_text_is_passed_over(folder):
    (folder.path / "step-00000020" / "state.json").write_bytes(b"\xff\xfe\x00{}")
    assert folder.latest_valid()[0].step == 1


@pytest.mark.parametrize("version", [0, 2])
def test_other_formats_are_passed_over_by_name(folder, version):
    edit(folder, format=version)
    saved, damaged = folder.latest_valid()
    assert saved.step == 1
    assert f"format {version}" in damaged[0].problem
    with pytest.raises(CheckpointError):
        open_checkpoint(folder.path / "step-00000020")


def test_a_file_nobody_vouches_for_is_damaged(folder):
    edit(folder, files={})
    saved, damaged = folder.latest_valid()
    assert saved.step == 1
    assert FILES[0] in damaged[0].problem


def flipped(content: bytes, what: bytes) -> bytes:
    """Flip the lowest bit of the byte that follows `what`."""
    place = content.index(what) + len(what)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_a_step_that_is_not_its_folders_is_found(folder):
    path = folder.path / "step-00000020" / "state.json"
    path.write_bytes(flipped(path.read_bytes(), b'"step": '))  # 20 becomes 30
    assert folder.latest_valid()[0].step == 1


def test_a_folder_under_another_steps_name_is_found(folder):
    (folder.path / "step-00000020").rename(folder.path / "step-00000030")
    assert folder.latest_valid()[0].step == 1


def test_a_flipped_bit_of_what_decided_the_bits_is_found(folder):
    path = folder.path / "step-00000020" / "state.json"
    path.write_bytes(flipped(path.read_bytes(), b'"threads": '))
    assert folder.latest_valid()[0].step == 1


@pytest.mark.parametrize(
    "content",
    [
        '{"format": 1, "step": 20, "bits": {}, "scaler": {}, "files": {"model.safetensors": 3}}',
        '{"format": 1, "step": Infinity, "bits": {}, "scaler": {}, "files": {}}',
        "[" * 100_000,
    ],
    ids=["no table of a file", "endless step", "deep nesting"],
)
def test_garbage_that_reads_as_json_is_passed_over(folder, content):
    (folder.path / "step-00000020" / "state.json").write_text(content)
    assert folder.latest_valid()[0].step == 1
