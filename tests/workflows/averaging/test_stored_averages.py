"""The stored EMAs of a run."""

import torch

from iddm_cli.workflows.averaging.stored_averages import list_stored_averages

from .conftest import store


def test_checkpoints_and_snapshots_are_listed_by_steps(model):
    store(model.run, checkpoints=[16, 32], snapshots=[8, 16, 24])
    stored = list_stored_averages(model.run, 0.5)
    origins = [(each.step, each.origin) for each in stored]
    assert origins == [
        (8, "snapshot"), (16, "checkpoint"), (24, "snapshot"), (32, "checkpoint"),
    ]  # fmt: skip
    assert {each.ema_decay for each in stored} == {0.9999}
    dtypes = [next(iter(each.read().values())).dtype for each in stored[:2]]
    assert dtypes == [torch.float16, torch.float32]


def test_damaged_ones_are_left_out_with_a_warning(model, capsys):
    store(model.run, checkpoints=[16, 32], snapshots=[8])
    (model.run.checkpoints_dir / "step-00000016" / "state.json").write_text("{}")
    (model.run.snapshots_dir / "step-00000008.safetensors").write_bytes(b"")
    assert [each.step for each in list_stored_averages(model.run, 0.5)] == [32]
    assert capsys.readouterr().err.count("left out") == 2


def test_an_old_checkpoint_has_the_decay_of_the_profile(model, monkeypatch):
    monkeypatch.setitem(store.__globals__, "STATE", {"bits": {}, "scaler": {}})
    store(model.run, checkpoints=[8])
    assert list_stored_averages(model.run, 0.5)[0].ema_decay == 0.5
