"""Checkpoints of a few numbers, and a folder for them."""

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention

FILES = ("model.safetensors", "average.safetensors", "optimizer.safetensors")
STATE = {"bits": {"threads": 1}, "scaler": {}}


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep tiny networks from spreading over threads that wait for each other."""
    torch.set_num_threads(1)


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
