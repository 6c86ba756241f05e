"""The folder of checkpoints: each whole or absent, the newest kept, the last good never lost."""

import errno

import pytest

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.errors import CheckpointError
from tests.checkpoints.conftest import save


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


def test_checkpoints_are_ordered_by_number_not_by_spelling(tmp_path):
    folder = CheckpointFolder(tmp_path, Retention(2))
    save(folder, 99_999_998, 99_999_999, 100_000_000)
    assert folder.latest_valid()[0].step == 100_000_000
    assert [path.name for path in folder.paths()] == ["step-99999999", "step-100000000"]
