"""The writer: training continues meanwhile, and what is written is what was copied."""

import threading

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.checkpoints.tensors import copy_to_cpu
from iddm_cli.checkpoints.writer import AsyncCheckpointWriter
from iddm_cli.engine.events import Stepped
from iddm_cli.errors import CheckpointError
from tests.checkpoints.conftest import STATE, parts
from tests.engine.test_trainer import bits, make, saved_at_once


class Slow(CheckpointFolder):
    """Waits until it may write."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.may = threading.Event()
        self.failing = False

    def save(self, *args):
        assert self.may.wait(20)
        if self.failing:
            raise CheckpointError("no room")
        return super().save(*args)


@pytest.fixture
def slow(tmp_path) -> Slow:
    return Slow(tmp_path / "checkpoints")


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, slow):
    trainer = make(tmp_path, steps=6, checkpoint_every=2, sample_every=0)
    trainer.writer.folder = slow
    events = []
    wanted = None
    for event in trainer.fit():
        events.append(event)
        if event == Stepped(3):
            assert not any(isinstance(event, Saved) for event in events)
            slow.may.set()
            trainer.writer._writing[1].result()
        if event == Stepped(2):
            wanted = copy_to_cpu(trainer.state.tensors()["model"])
    found = slow.at(2).read("model")
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert [event.step for event in events if isinstance(event, Saved)] == [2, 4, 6]


def test_the_next_one_waits_for_the_one_before(slow):
    saver = AsyncCheckpointWriter(slow)
    assert saver.begin(1, parts(1), STATE) == []
    assert saver.poll() == []
    slow.may.set()
    assert [event.step for event in saver.begin(2, parts(2), STATE)] == [1]
    assert [event.step for event in saver.wait()] == [2]
    assert saver.wait() == []
    saver.close()


def test_a_failure_is_reported_and_forgotten_with_the_next_success(slow):
    saver = AsyncCheckpointWriter(slow)
    slow.may.set()
    slow.failing = True
    saver.begin(1, parts(1), STATE)
    assert saver.wait() == [SaveFailed(1, "no room")]
    assert saver.problem is not None
    slow.failing = False
    saver.begin(2, parts(2), STATE)
    assert [type(event) for event in saver.wait()] == [Saved]
    assert (saver.saved, saver.problem) == (2, None)
    saver.close()


def test_a_disk_that_is_full_for_a_while_stops_nothing(tmp_path, slow):
    slow.may.set()
    trainer = make(tmp_path, steps=8, checkpoint_every=2, sample_every=0)
    trainer.writer.folder = slow
    saved_at_once(trainer)
    events = []
    for event in trainer.fit():
        slow.failing = 3 <= trainer.step <= 5
        events += [event] if isinstance(event, Saved | SaveFailed) else []
    assert {(type(event), event.step) for event in events} >= {(SaveFailed, 4), (Saved, 8)}
    straight = make(tmp_path / "b", steps=8)
    list(straight.fit())
    assert bits(trainer) == bits(straight)


def test_a_disk_that_is_full_at_the_end_is_an_error(tmp_path, slow):
    slow.may.set()
    slow.failing = True
    trainer = make(tmp_path, steps=4)
    trainer.writer.folder = slow
    with pytest.raises(CheckpointError, match="no room"):
        list(trainer.fit())
    assert trainer.step == 4


def test_a_folder_that_vanishes_is_not_made_anew_elsewhere(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    trainer = make(run / "checkpoints", steps=8, checkpoint_every=2, sample_every=0)
    events = []
    for event in trainer.fit():
        if event == Stepped(3):
            trainer.writer.wait()
            run.rename(tmp_path / "gone")
        if event == Stepped(5):
            trainer.writer.wait()
            assert not run.exists()
            (tmp_path / "gone").rename(run)
        events += [event] if isinstance(event, Saved | SaveFailed) else []
    assert trainer.checkpoints.latest_valid()[0].step == 8
    assert all("No such file" in event.problem for event in events if isinstance(event, SaveFailed))


def test_whoever_leaves_in_the_middle_leaves_a_whole_checkpoint(tmp_path):
    trainer = make(tmp_path, steps=9, checkpoint_every=2, sample_every=0)
    for event in trainer.fit():
        if event == Stepped(3):
            break
    del event
    trainer.writer.close()
    assert trainer.checkpoints.latest_valid()[0].step == 2


def test_a_snapshot_shares_no_memory():
    tensor = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    copied = copy_to_cpu({"a": tensor})["a"]
    assert torch.equal(copied, tensor)
    tensor.zero_()
    assert copied.any()


def test_a_grid_that_cannot_be_saved_stops_nothing(tmp_path):
    def draw(average, step):
        raise OSError(28, "No space left on device")

    trainer = make(tmp_path, draw=draw)
    events = [event for event in trainer.fit() if isinstance(event, SaveFailed)]
    assert [event.step for event in events] == [2, 4]
    assert "grid of step 2" in events[0].problem
    assert "No space left" in events[0].problem


def test_where_no_thread_can_be_started_training_waits_for_the_files(tmp_path, monkeypatch):
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = AsyncCheckpointWriter(CheckpointFolder(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        assert writer.begin(1, parts(1), STATE) == []
        assert (tmp_path / "step-00000001").is_dir()
        assert [event.step for event in writer.begin(2, parts(2), STATE)] == [1]
    (tmp_path / "step-00000001").rename(tmp_path / "moved")
    assert [event.step for event in writer.begin(3, parts(3), STATE)] == [2]
    assert [event.step for event in writer.wait()] == [3]
    assert not (tmp_path / "step-00000001").exists(), "nothing is written twice"
