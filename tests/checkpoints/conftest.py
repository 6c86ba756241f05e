"""Checkpoints of a few numbers, and a folder for them."""

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from tests.threads import one_thread  # noqa: F401

FILES = ("model.safetensors", "average.safetensors", "optimizer.safetensors")
STATE = {"bits": {"threads": 1}, "scaler": {}}


def parts(step: int) -> dict:
    return {
        name: {"a": torch.full((3, 2), float(step)), "b.step": torch.tensor(float(number))}
        for number, name in enumerate(("model", "average", "optimizer"))
    }


def save(folder: CheckpointFolder, *steps: int) -> None:
    for step in steps:
        folder.save(step, parts(step), STATE)


@pytest.fixture
def folder(tmp_path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints", Retention(3))
