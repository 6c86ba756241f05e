"""The ONNX file: its size and its metadata."""

import json

import onnx
import pytest

from iddm_cli.errors import UsageError
from iddm_cli.export.onnx.model_proto import build_onnx_model
from iddm_cli.export.onnx.options import OnnxOptions
from iddm_cli.export.trained_model import TrainedModel
from tests.export.conftest import trained


def test_the_file_is_hardly_larger_than_the_weights():
    model = trained(model={"base_channels": 64, "channel_multipliers": [1, 2, 3]},
                    sampling={"sampler": "ddpm", "steps": 1000})  # fmt: skip
    made = build_onnx_model(model, OnnxOptions())
    assert made.ByteSize() < 1.05 * 4 * model.parameters


def test_a_model_larger_than_an_onnx_file_is_refused_before_the_export(monkeypatch):
    monkeypatch.setattr(TrainedModel, "parameters", 600_000_000)
    with pytest.raises(UsageError, match=r"0\.6 billion parameters"):
        build_onnx_model(trained(), OnnxOptions())


def test_the_metadata_is_complete_and_contains_nothing_of_the_machine():
    model = trained(("cat", "日本"), data={"path": "/home/somebody/secret"})
    made = build_onnx_model(model, OnnxOptions())
    said = {entry.key: entry.value for entry in made.metadata_props}
    assert json.loads(said["iddm.class_names"]) == ["cat", "日本"]
    wanted = {
        "run": "steel", "step": "500", "sampler": "ddim", "steps": "5", "guidance": "2.0",
        "schedule": "linear", "timesteps": "1000", "value_range": "[-1, 1]", "part": "pipeline",
    }  # fmt: skip
    assert {key: said[f"iddm.{key}"] for key in wanted} == wanted
    assert (made.producer_name, made.graph.name) == ("iddm", "steel")
    content = made.SerializeToString()
    for word in (b"somebody", b"site-packages", b".py", b"torch.nn"):
        assert word not in content, word
    assert onnx.load_from_string(content).ir_version <= 10, "older runtimes read it"
