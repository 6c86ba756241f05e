"""A training that cannot fit: the error names settings with which it would."""

import pytest
import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.memory import estimate_run_memory
from iddm_cli.engine import device
from iddm_cli.engine import memory as engine_memory
from iddm_cli.errors import UsageError
from iddm_cli.workflows.planning.planned_run import PlannedRun
from iddm_cli.workflows.planning.shortage import SYSTEM_SHARE, check_fits_machine, list_smaller
from tests.build.profiles import tiny_profile
from tests.workflows.packs import make_pack


@pytest.fixture(autouse=True)
def constant_program(monkeypatch):
    """Python and PyTorch take the same in every estimate."""
    monkeypatch.setattr(engine_memory, "used_memory", lambda: 0)


def plan(**training) -> PlannedRun:
    profile = tiny_profile(training={"batch_size": 64, **training})
    return PlannedRun(profile, make_pack(), ComputeContext(torch.device("cpu"), "fp32"), 1)


def limit(monkeypatch, room: float) -> None:
    """Let the machine have so much memory that a training can have `room` bytes."""
    monkeypatch.setattr(device, "all_memory", lambda _: room / SYSTEM_SHARE + 1)


def test_a_training_that_fits_passes(monkeypatch):
    run = plan()
    memory = estimate_run_memory(run.profile, run.pack, run.compute)
    limit(monkeypatch, memory.total)
    check_fits_machine(run, memory)


def test_the_hint_names_a_micro_batch_that_fits(monkeypatch):
    run = plan()
    memory = estimate_run_memory(run.profile, run.pack, run.compute)
    limit(monkeypatch, memory.total - 20 * memory.per_image)
    with pytest.raises(UsageError, match=r"takes about .* GB of memory, and this machine") as error:
        check_fits_machine(run, memory)
    assert "training.micro_batch=32" in error.value.hint, "two even parts of the batch"
    smaller = plan(micro_batch=32)
    check_fits_machine(smaller, estimate_run_memory(smaller.profile, run.pack, run.compute))
    auto = plan(micro_batch="auto")
    check_fits_machine(auto, estimate_run_memory(auto.profile, run.pack, run.compute))


def test_where_not_even_one_image_fits_smaller_networks_are_named(monkeypatch):
    run = plan()
    memory = estimate_run_memory(run.profile, run.pack, run.compute)
    half = dict(list_smaller(run.profile))["data.image_size=8"]
    room = estimate_run_memory(half, run.pack, run.compute)
    limit(monkeypatch, room.total - room.activations + 1.5 * room.per_image)
    with pytest.raises(UsageError, match="GB of memory") as error:
        check_fits_machine(run, memory)
    assert "Not even one image" in error.value.hint
    assert "--set data.image_size=8" in error.value.hint
    limit(monkeypatch, 1)
    with pytest.raises(UsageError) as error:
        check_fits_machine(run, memory)
    assert "much smaller" in error.value.hint


def test_proposals_are_valid_profiles():
    proposals = dict(list_smaller(tiny_profile(data={"channels": 3, "image_size": [16, 32]})))
    assert proposals["data.image_size=[8,16]"].data.size == (8, 16)
    assert proposals["model.base_channels=4"].model.base_channels == 4
    assert "model.base_channels=2" not in proposals, "its channels cannot be divided into groups"
