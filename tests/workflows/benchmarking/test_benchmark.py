"""The benchmark: its sizes, its workload, and its result."""

import json

import pytest
import torch

from iddm_cli.build.speed.variants import VariantTimer
from iddm_cli.profiles.profile import Profile
from iddm_cli.workflows.benchmarking.benchmark import (
    BenchRequest,
    choose_sizes,
    prepare_workload,
    run_bench,
)
from tests.build.profiles import TINY


def tiny(**changes: dict) -> Profile:
    runtime = {"device": "cpu", "precision": "fp32", "threads": torch.get_num_threads()}
    data = {"image_size": 8, "channels": "auto"}
    training = {"batch_size": 8, "steps": 10, "epochs": None}
    settings = {"data": data, "model": TINY, "runtime": runtime, "training": training}
    return Profile.model_validate({**settings, "sampling": {"steps": 4}, **changes})


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [(64, [8, 16, 32, 64, 128]), (48, [8, 16, 32, 48, 64, 96]), (2, [2, 4]), (8, [8, 16])],
)
def test_sizes_double_up_to_twice_the_batch(batch, sizes):
    assert choose_sizes(batch) == sizes


@pytest.mark.parametrize(
    ("data", "channels", "classes"),
    [({}, 3, 10), ({"channels": 1, "conditional": False}, 1, 0)],
)
def test_without_a_dataset_images_are_of_the_shape_of_the_profile(data, channels, classes):
    request = BenchRequest(tiny(data={"image_size": 8, **data}), has_data=False, seconds=1)
    workload = prepare_workload(request, torch.device("cpu"))
    assert workload.profile.data.shape == (channels, 8, 8)
    assert workload.num_classes == classes


def test_the_result_has_a_row_for_each_variant(capsys):
    request = BenchRequest(tiny(), has_data=False, seconds=0.5)
    assert run_bench(request, as_json=True) == 0
    result = json.loads(capsys.readouterr().out)
    kinds = {row["kind"] for row in result["rows"]}
    assert kinds >= {"training"}
    assert all(row["images_per_second"] > 0 for row in result["rows"])
    assert result["batch_size"] == 8
    assert result["parameters"] > 1000


def test_an_interruption_prints_what_is_done(capsys, monkeypatch):
    run = VariantTimer.run

    def interrupt(self):
        yield next(run(self))
        raise KeyboardInterrupt

    monkeypatch.setattr(VariantTimer, "run", interrupt)
    request = BenchRequest(tiny(), has_data=False, seconds=60)
    assert run_bench(request, as_json=True) == 130
    result = json.loads(capsys.readouterr().out)
    assert result["interrupted"]
    assert len(result["rows"]) == 1
    assert run_bench(request, as_json=False) == 130
    assert "interrupted" in capsys.readouterr().err
