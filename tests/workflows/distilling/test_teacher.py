"""The teacher: which models can be one, and its copy in the new run."""

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.errors import CheckpointError, RunError, UsageError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.runs.exported_file import open_exported_file
from iddm_cli.runs.run import Run
from iddm_cli.workflows.distilling.teacher import export_teacher, find_teacher
from tests.build.profiles import tiny_profile
from tests.export.conftest import trained
from tests.workflows.distilling.runs import make_run


def save_checkpoint(run, step: int, value: float) -> None:
    """Save a checkpoint whose averaged weights all have one value."""
    from iddm_cli.build.networks import build_denoiser

    network = build_denoiser(tiny_profile(), 2).backbone
    average = {name: torch.full_like(w, value) for name, w in network.state_dict().items()}
    parts = {"model": average, "average": average, "optimizer": {}}
    state = {"bits": {}, "scaler": {}}
    CheckpointFolder(run / "checkpoints").save(step, parts, state)


def test_a_run_is_found_with_its_newest_checkpoint_or_another(tmp_path):
    run = make_run(tmp_path)
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        find_teacher(tmp_path, "pets", None)
    save_checkpoint(run, 3, 0.25)
    save_checkpoint(run, 5, 0.5)
    teacher = find_teacher(tmp_path, "pets", None)
    assert (teacher.name, teacher.path, teacher.step) == ("pets", run, 5)
    assert teacher.classes == ("cat", "dog")
    assert find_teacher(tmp_path, "pets", 3).step == 3
    with pytest.raises(RunError):
        find_teacher(tmp_path, "cats", None)


def test_its_copy_holds_its_averaged_weights_and_profile(tmp_path):
    save_checkpoint(make_run(tmp_path, sampling={"weights": "raw"}), 5, 0.5)
    new = Run(tmp_path / "new")
    new.path.mkdir()
    ((name, content),) = export_teacher(new, find_teacher(tmp_path, "pets", None))
    (new.path / name).write_bytes(content)
    copy = open_exported_file(new.teacher_path).record
    assert (copy.run, copy.step, copy.weights, copy.classes) == (
        "pets",
        5,
        "average",
        ["cat", "dog"],
    )
    found = find_teacher(None, str(new.teacher_path), None).open_weights().read("average")
    assert all((tensor == 0.5).all() for tensor in found.values())


def test_a_distilled_run_is_no_teacher(tmp_path):
    make_run(tmp_path, distillation={"teacher": "first"}, evaluation={"loss_every": 0})
    with pytest.raises(UsageError, match="pets was distilled itself") as refused:
        find_teacher(tmp_path, "pets", None)
    assert "iddm distill first" in refused.value.hint


def test_raw_weights_are_no_teacher(tmp_path):
    model = trained()
    path = tmp_path / "raw.safetensors"
    path.write_bytes(build_safetensors(model.__class__(**{**vars(model), "weights": "raw"})))
    with pytest.raises(UsageError, match="holds the raw weights"):
        find_teacher(None, str(path), None)
