"""A training that cannot fit: the error names settings with which it would."""

import pytest
import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.memory import SYSTEM_SHARE, estimate_run_memory
from iddm_cli.engine import device
from iddm_cli.engine import memory as engine_memory
from iddm_cli.errors import UsageError
from iddm_cli.workflows.planning import shortage
from iddm_cli.workflows.planning.planned_run import PlannedRun
from iddm_cli.workflows.planning.shortage import check_fits_machine
from iddm_cli.workflows.planning.smaller import iter_other_networks
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
    smaller = plan(micro_batch=32)
    found = estimate_run_memory(smaller.profile, run.pack, run.compute)
    proposal = f"--set training.micro_batch=32 ({found.total / 1e9:.3g} GB)"
    assert proposal in error.value.hint, "two even parts of the batch, and what they take"
    check_fits_machine(smaller, found)
    auto = plan(micro_batch="auto")
    check_fits_machine(auto, estimate_run_memory(auto.profile, run.pack, run.compute))


def test_where_not_even_one_image_fits_smaller_networks_are_named(monkeypatch):
    run = plan()
    memory = estimate_run_memory(run.profile, run.pack, run.compute)
    half = dict(iter_other_networks(run.profile))["model.patch_size=2",]
    room = estimate_run_memory(half, run.pack, run.compute)
    limit(monkeypatch, room.total - room.activations + 1.5 * room.per_image)
    with pytest.raises(UsageError, match="GB of memory") as error:
        check_fits_machine(run, memory)
    assert "Only another network fits with: --set model.patch_size=2" in error.value.hint
    assert "--set training.micro_batch=1 " in error.value.hint
    limit(monkeypatch, 1)
    with pytest.raises(UsageError) as error:
        check_fits_machine(run, memory)
    assert "much smaller" in error.value.hint


@pytest.mark.parametrize(("crop", "proposed"), [(32, "16"), ([32, 16], "[16,8]")])
def test_smaller_crops_are_proposed_where_crops_are_trained_on(crop, proposed):
    profile = tiny_profile(data={"channels": 1, "crop": crop})
    changes = dict(iter_other_networks(profile))
    assert not any("image_size" in settings[0] for settings in changes)
    smaller = changes[f"data.crop={proposed}",]
    assert smaller.data.size == smaller.data.crop_size
    whole = dict(iter_other_networks(tiny_profile(data={"channels": 1, "image_size": crop})))
    assert whole[f"data.image_size={proposed}",].data.crop is None


def test_blocks_are_recomputed_before_another_network_is_proposed(monkeypatch):
    run = plan()
    memory = estimate_run_memory(run.profile, run.pack, run.compute)
    less = estimate_run_memory(plan(recompute="blocks").profile, run.pack, run.compute)
    assert less.per_image < 0.9 * memory.per_image
    limit(monkeypatch, less.total - less.activations + 1.01 * less.per_image)
    with pytest.raises(UsageError) as error:
        check_fits_machine(run, memory)
    words = "--set training.recompute=blocks --set training.micro_batch=1"
    assert f"change no more than the last bits: {words}" in error.value.hint


def test_on_a_gpu_only_one_image_has_to_fit(monkeypatch):
    run = plan()
    gpu = run._replace(compute=ComputeContext(torch.device("cuda", 0), "fp32"))
    memory = estimate_run_memory(run.profile, run.pack, run.compute)
    limit(monkeypatch, memory.total - 60 * memory.per_image)
    check_fits_machine(gpu, memory)
    limit(monkeypatch, memory.total - memory.activations)
    monkeypatch.setattr(shortage, "advise_smaller", lambda *_: "")
    with pytest.raises(UsageError, match="and cuda:0 has"):
        check_fits_machine(gpu, memory)
