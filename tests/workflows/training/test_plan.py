"""The plan of a training: the figures by hand, as JSON and as a table."""

import json

import pytest
import torch

from iddm_cli.build.networks import build_backbone
from iddm_cli.errors import UsageError
from iddm_cli.workflows.training.plan import show_plan
from tests.build.profiles import tiny_profile
from tests.workflows.packs import make_pack


def plan_profile(**training):
    return tiny_profile(
        data={"channels": 1, "image_size": 8, "path": "pets"},
        training={"steps": 6, "epochs": None, "batch_size": 2, **training},
        runtime={"device": "cpu", "precision": "fp32", "threads": torch.get_num_threads()},
    )


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
