"""Resuming: from the latest valid checkpoint, on the same images, and not beyond the end."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from iddm_cli.distributed.group import SINGLE_PROCESS
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from iddm_cli.workflows.training.resume import (
    check_not_beyond_end,
    check_same_images,
    load_latest,
)
from tests.engine.test_trainer import bits, make, run
from tests.workflows.packs import make_pack


@pytest.fixture
def trained(tmp_path):
    """A trainer that has saved steps 2 and 4."""
    trainer = make(tmp_path)
    run(trainer)
    assert [path.name[-1] for path in trainer.checkpoints.paths()] == ["2", "4"]
    return trainer


def test_without_a_checkpoint_training_starts_at_step_0(tmp_path):
    trainer = make(tmp_path)
    assert "starts at step 0" in load_latest(SINGLE_PROCESS, trainer)[0]
    assert trainer.step == 0


def test_the_latest_checkpoint_is_loaded_bit_for_bit(trained, tmp_path):
    again = make(tmp_path)
    assert load_latest(SINGLE_PROCESS, again) == ("bit for bit", [])
    assert (again.step, bits(again)) == (4, bits(trained))


def test_recomputing_blocks_is_no_change(trained, tmp_path):
    assert load_latest(SINGLE_PROCESS, make(tmp_path, recompute="blocks"))[0] == "bit for bit"


def test_compiling_blocks_changes_the_last_bits(trained, tmp_path):
    again = make(tmp_path)
    again.train_step.compiled = SimpleNamespace(active=True)
    said, _ = load_latest(SINGLE_PROCESS, again)
    assert said == "not bit for bit: compile None → blocks"


def test_what_changes_the_last_bits_is_named(trained, tmp_path):
    again = make(tmp_path, micro_batch=2)
    said, _ = load_latest(SINGLE_PROCESS, again)
    assert said == f"not bit for bit: micro_batch {trained.train_step.numerics['micro_batch']} → 2"


def test_a_damaged_checkpoint_is_set_aside_with_a_warning(trained, tmp_path, capsys):
    newest = trained.checkpoints.paths()[-1]
    (newest / "model.safetensors").write_bytes(b"")
    again = make(tmp_path)
    load_latest(SINGLE_PROCESS, again)
    assert again.step == 2
    assert [path.name[-1] for path in again.checkpoints.paths()] == ["2"]
    assert newest.with_name(f"{newest.name}.damaged-1").is_dir()
    assert "set aside, using step-00000002" in capsys.readouterr().err


def test_the_dataset_must_be_the_one_of_the_start(tmp_path):
    def run_on(**dataset):
        files = {"profile.yaml": b"", "dataset.json": encode_json(dataset)}
        return create_run(tmp_path, f"run{len(list(tmp_path.iterdir()))}", files)

    check_same_images(run_on(digest="abc", count=3), make_pack(digest="abc"), "pets")
    check_same_images(run_on(digest=None), make_pack(digest="abc"), "pets")  # imported
    with pytest.raises(DatasetError, match="there were 5, there are 3 now") as refused:
        check_same_images(run_on(digest="xyz", count=5), make_pack(digest="abc"), "pets")
    assert "(pets)" in refused.value.problem
    assert "iddm resume run2 --set data.path=FOLDER" in refused.value.hint
    assert "data.layout" not in refused.value.hint
    understood = replace(make_pack(digest="abc"), notes=("data.layout=folders would ...",))
    with pytest.raises(DatasetError) as refused:
        check_same_images(run_on(digest="xyz"), understood, "pets")
    assert "iddm resume run3 --set data.layout=folders." in refused.value.hint


def test_a_run_does_not_end_before_the_step_it_has_reached():
    named = SimpleNamespace(name="one")
    check_not_beyond_end(named, SimpleNamespace(step=4, total_steps=4))
    with pytest.raises(UsageError, match="has made 5 steps") as refused:
        check_not_beyond_end(named, SimpleNamespace(step=5, total_steps=4))
    assert "iddm resume one --steps 10" in refused.value.hint
