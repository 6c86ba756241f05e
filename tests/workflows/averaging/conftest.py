"""A run of a tiny network that has stored EMAs, without having been trained."""

from functools import cache

import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.snapshots import SnapshotFolder
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from iddm_cli.workflows.models import find_model
from tests.build.profiles import tiny_profile
from tests.threads import one_thread  # noqa: F401

PROFILE = tiny_profile(data={"channels": 1, "image_size": 4})
STATE = {"bits": {"threads": 1}, "scaler": {}, "settings": {"training.ema_decay": 0.9999}}


def weights_at(step: int) -> dict[str, torch.Tensor]:
    """Return weights that are a linear function of the step."""
    return {name: torch.full_like(tensor, step / 64) for name, tensor in list_tensors().items()}


@cache
def list_tensors() -> dict[str, torch.Tensor]:
    return build_denoiser(PROFILE, 2).backbone.state_dict()


def store(run, *, checkpoints=(), snapshots=()) -> None:
    for step in checkpoints:
        weights = weights_at(step)
        parts = {"model": weights, "average": weights, "optimizer": {}}
        CheckpointFolder(run.checkpoints_dir).save(step, parts, STATE)
    folder = SnapshotFolder(run.snapshots_dir, 1, 64)
    for step in snapshots:
        folder.write(step, weights_at(step), 0.9999)


@pytest.fixture
def model(tmp_path):
    files = {
        "profile.yaml": dump_profile(PROFILE).encode(),
        "dataset.json": encode_json({"classes": {"cat": 1, "dog": 2}}),
        "run.json": encode_json({"updated": "2026"}),
    }
    create_run(tmp_path / "runs", "pets", files)
    return find_model(tmp_path / "runs", "pets")
