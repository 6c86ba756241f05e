"""Trained models as users name them: a run, or an exported file of one."""

from pathlib import Path

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.errors import CheckpointError, RunError, UsageError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.profiles.overrides import Override
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.workflows.models import FileModel, RunModel, find_model
from tests.build.profiles import tiny_profile
from tests.export.conftest import trained


def test_a_run_is_found_by_name_and_a_file_by_its_suffix(runs, file):
    run = find_model(runs, "pets")
    assert isinstance(run, RunModel)
    assert (run.name, run.classes) == ("pets", ("cat", "dog"))
    exported = find_model(runs, str(file))
    assert isinstance(exported, FileModel)
    assert (exported.name, exported.reference, exported.classes) == (
        "steel", "steel.safetensors", ("cat", "dog"),
    )  # fmt: skip
    with pytest.raises(RunError):
        find_model(runs, "cats")


def test_images_go_into_the_run_or_beside_the_user(runs, file):
    assert find_model(runs, "pets").default_output_dir().parent == runs / "pets" / "generated"
    folder = find_model(runs, str(file)).default_output_dir()
    assert folder.parent == Path()
    assert folder.name.startswith("steel-2")


def test_a_file_has_the_weights_of_one_step(file):
    model = find_model(None, str(file))
    for step in (None, 500):
        assert model.open_weights(step, "average").step == 500
    with pytest.raises(
        UsageError, match=r"--checkpoint 400: .* holds the weights of step 500 only"
    ):
        model.open_weights(400, "average")


def test_a_file_has_no_best_checkpoint(file):
    with pytest.raises(UsageError, match=r"--checkpoint best: .* weights of step 500 only"):
        find_model(None, str(file)).open_weights("best", "average")


def save_with(folder, step: int, **metrics: float) -> None:
    tensors = {part: {"w": torch.ones(1)} for part in ("model", "average", "optimizer")}
    folder.save(step, tensors, {"bits": {}, "scaler": {}, "metrics": metrics})


def test_the_best_checkpoint_is_that_of_the_metric_that_the_run_keeps(runs):
    folder = CheckpointFolder(runs / "pets" / "checkpoints")
    save_with(folder, 10, held_out_loss=0.2, coverage=0.5)
    save_with(folder, 20, held_out_loss=0.1, coverage=0.7)
    save_with(folder, 30, held_out_loss=0.3, coverage=0.9)
    model = find_model(runs, "pets")
    with pytest.raises(CheckpointError, match=r"training\.keep_best is null") as none:
        model.open_weights("best", "average")
    assert none.value.hint.startswith("Available steps: 10, 20, 30.")

    def keep(**training: str) -> None:
        profile = tiny_profile(training=training, evaluation={"every": 10})
        model.run.profile_path.write_text(dump_profile(profile))

    for training, expected in (
        ({"keep_best": "held_out_loss"}, 20),
        ({"stop_when": "held_out_worse"}, 20),
        ({"keep_best": "coverage"}, 30),
    ):
        keep(**training)
        assert model.open_weights("best", "average").step == expected
    keep(keep_best="mind")
    with pytest.raises(CheckpointError, match="none records its mind"):
        model.open_weights("best", "average")


def test_the_profile_in_a_file_may_be_overridden(file):
    model = find_model(None, str(file))
    profile = model.load_profile([Override("sampling.guidance", 4.0, "--guidance")])
    assert (profile.sampling.guidance, profile.sampling.steps) == (4.0, 5)
    assert profile.data.shape == (3, 8, 16)


def test_what_an_older_version_trained_or_exported_keeps_its_precision(runs, tmp_path):
    run = find_model(runs, "pets")
    text = run.run.profile_path.read_text()
    assert run.load_profile([]).sampling.precision == "auto"
    run.run.profile_path.write_text(text.replace("  precision: auto\n", "", 1))
    assert run.load_profile([]).sampling.precision == "fp32"
    path = tmp_path / "older.safetensors"
    path.write_bytes(build_safetensors(trained()))
    exported = find_model(runs, str(path))
    assert exported.load_profile([]).sampling.precision == "auto"
    del exported.exported.record.profile["sampling"]["precision"]
    assert exported.load_profile([]).sampling.precision == "fp32"
    chosen = [Override("sampling.precision", "auto", "--precision")]
    assert exported.load_profile(chosen).sampling.precision == "auto"
