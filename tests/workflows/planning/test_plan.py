"""The plan of a training: the figures by hand, as JSON and as a table."""

import json
from dataclasses import replace

import pytest
import torch

from iddm_cli.build import memory as build_memory
from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.loss_evaluation import plan_held_out_loss
from iddm_cli.build.memory import estimate_run_memory
from iddm_cli.build.networks import build_backbone
from iddm_cli.build.speed import training_probe
from iddm_cli.build.speed.training_probe import TrainingProbe
from iddm_cli.engine import device
from iddm_cli.engine import memory as engine_memory
from iddm_cli.engine.monitoring.step_timing import StepTiming
from iddm_cli.errors import UsageError
from iddm_cli.machine import memory as machine_memory
from iddm_cli.machine.memory import MemoryBound
from iddm_cli.workflows.planning.plan import show_plan
from tests.build.profiles import tiny_profile
from tests.workflows.packs import make_pack


def plan_profile(**training):
    return tiny_profile(
        data={"channels": 1, "image_size": 8, "path": "pets"},
        training={"steps": 6, "epochs": None, "batch_size": 2, **training},
        runtime={"device": "cpu", "precision": "fp32", "threads": torch.get_num_threads()},
    )


@pytest.fixture(autouse=True)
def probe(monkeypatch) -> TrainingProbe:
    """Steps of 2 s, and images of 0.5 s: the packs of these tests have no pixels."""
    found = TrainingProbe(StepTiming(2.0, 1.0, steps=3, images=2), 0.5, 0.25, peak=10**9)
    monkeypatch.setattr(training_probe, "probe_training", lambda *_: found)
    return found


def show(capsys, profile, pack) -> dict:
    show_plan(profile, pack, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_the_time_is_that_of_the_probed_steps(capsys):
    profile = plan_profile(sample_every=3, checkpoint_every=2, sample_count=4)
    time = show(capsys, profile, make_pack())["time"]
    grid = 0.5 * 2 * 4  # of two classes
    saved = time["parts"]["checkpoints"] / 3
    assert 0 < saved < 0.1
    assert time["step_seconds"] == 2
    assert time["parts"]["steps"] == 1 + 6 * 2
    assert time["parts"]["sample_grids"] == 2 * grid
    assert time["total_seconds"] == sum(time["parts"].values())
    assert time["first_checkpoint_seconds"] == pytest.approx(1 + 2 * 2 + saved)
    assert time["first_grid_seconds"] == pytest.approx(1 + 3 * 2 + grid + saved)
    assert time["notes"] == []


def test_the_measured_memory_is_taken_with_that_of_a_checkpoint(capsys):
    plan = show(capsys, plan_profile(), make_pack())
    assert plan["memory"] == "measured"
    assert plan["memory_bytes"] == 10**9 + 6 * 4 * plan["parameters"]


def test_without_room_for_a_step_nothing_is_probed(capsys, monkeypatch):
    monkeypatch.setattr(training_probe, "probe_training", None)
    monkeypatch.setattr(device, "free_memory", lambda _: 0)
    plan = show(capsys, plan_profile(), make_pack())
    assert (plan["time"], plan["memory"]) == (None, "estimated")
    show_plan(plan_profile(), make_pack(), as_json=False)
    assert "not free now" in capsys.readouterr().out


def test_a_shortage_of_memory_comes_with_what_to_set(capsys, monkeypatch):
    assert show(capsys, plan_profile(), make_pack())["proposals"] == []
    monkeypatch.setattr(engine_memory, "used_memory", lambda: 0)
    profile, compute = plan_profile(batch_size=64), ComputeContext(torch.device("cpu"), "fp32")
    memory = estimate_run_memory(profile, make_pack(), compute)
    free = MemoryBound(2**40, memory.total - memory.activations // 2 + 1, "this machine")
    for module in (build_memory, machine_memory):
        monkeypatch.setattr(module, "free_memory", lambda: free)
        monkeypatch.setattr(module, "used_memory", lambda: 0)
    same, other = show(capsys, profile, make_pack())["proposals"]
    assert same["set"] == ["training.micro_batch=32"]
    assert (same["same_result"], other["same_result"]) == (True, False)
    assert 0 < same["memory_bytes"] <= free.free
    show_plan(profile, make_pack(), as_json=False)
    assert f"--set {same['set'][0]} " in " ".join(capsys.readouterr().err.split())


def test_the_plan_of_the_held_out_loss_is_shown(capsys):
    pack = make_pack(labels=(0, 1) * 20)
    assert show(capsys, plan_profile(), pack)["held_out_loss"] is None
    pack = replace(pack, held_out=make_pack(labels=(0, 1) * 10))
    profile = plan_profile(steps=4000)
    loss, plan = show(capsys, profile, pack)["held_out_loss"], plan_held_out_loss(profile, pack)
    assert (loss["every"], loss["images"]) == (plan.every, plan.images)
    assert 0 < loss["share"] <= 0.01
    show_plan(profile, pack, as_json=False)
    assert f"every {plan.every:,} steps on {plan.images} images" in capsys.readouterr().out


def test_several_processes_are_planned_by_the_share_of_one(capsys, monkeypatch):
    shares = []
    monkeypatch.setattr(
        training_probe,
        "probe_training",
        lambda profile, *_: (
            shares.append(profile.training.batch_size)
            or TrainingProbe(StepTiming(2.0, 1.0, steps=3, images=3), 0.5, 0.25, peak=10**9)
        ),
    )
    threads = torch.get_num_threads()
    runtime = {"device": "cpu", "devices": 2, "precision": "fp32", "threads": threads}
    profile = plan_profile(batch_size=5).model_copy(
        update={"runtime": tiny_profile(runtime=runtime).runtime}
    )
    plan = show(capsys, profile, make_pack())
    assert (shares, plan["processes"]) == ([3], 2)
    assert plan["memory_bytes"] == 2 * (10**9 + 24 * plan["parameters"])
    assert any("2 processes" in note for note in plan["time"]["notes"])


def test_the_document_has_the_figures_of_the_training(capsys):
    profile, pack = plan_profile(), make_pack()
    show_plan(profile, pack, as_json=True)
    plan = json.loads(capsys.readouterr().out)
    assert plan["profile"] == json.loads(profile.model_dump_json())
    assert (plan["steps"], plan["epochs"]) == (6, 6 * 2 / 3)
    assert (plan["pictures"], plan["skipped"], plan["passed_over"]) == (3, 1, 0)
    assert (plan["classes"], plan["image_size"], plan["channels"]) == (["cat", "dog"], [8, 8], 1)
    parameters = sum(p.numel() for p in build_backbone(profile, 2).parameters())
    assert plan["parameters"] == parameters
    assert (plan["precision"], plan["cache"], plan["cache_bytes"]) == ("fp32", "disk", 3 * 64)
    assert plan["checkpoint_bytes"] >= 4 * 4 * parameters, "weights, average and two moments"
    assert plan["memory_bytes"] > plan["checkpoint_bytes"]


def test_the_table_names_the_data_and_the_steps(capsys):
    show_plan(plan_profile(), make_pack(), as_json=False)
    printed = capsys.readouterr().out
    assert "pets" in printed
    assert "6 (4.0 epochs)" in printed


def test_what_a_training_would_refuse_its_plan_refuses():
    runtime = {"device": "cpu", "devices": 2}
    profile = tiny_profile(training={"steps": 1, "batch_size": 1}, runtime=runtime)
    with pytest.raises(UsageError, match="cannot be divided among 2 processes"):
        show_plan(profile, make_pack(), as_json=True)
