"""Runs of adapters: the frozen base in an exported file, and both merged."""

import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.build.transferring.adapted_weights import (
    MergedWeights,
    attach_adapters,
    build_base,
    count_adapters,
)
from iddm_cli.errors import CheckpointError
from iddm_cli.export.exported_weights import ExportedWeights
from iddm_cli.runs.exported_file import open_exported_file
from iddm_cli.value_range import EIGHT_BIT
from tests.build.profiles import tiny_profile

LIGHT = tiny_profile(training={"lora_rank": 2}, transfer={"source": "first"})


class Adapters:
    """A checkpoint of adapters in memory."""

    step = 7

    def __init__(self, tensors):
        self.tensors = tensors

    def read(self, part, like=None):
        return self.tensors

    def digest(self, part):
        return part


def test_merged_weights_are_those_of_the_base_with_its_adapters(tmp_path):
    denoiser = build_denoiser(LIGHT, 2)
    weights = {key: each.clone() for key, each in denoiser.backbone.state_dict().items()}
    path = tmp_path / "base.safetensors"
    path.write_bytes(build_base("light", LIGHT, ("cat", "dog"), EIGHT_BIT, weights))
    base = ExportedWeights(open_exported_file(path))
    attach_adapters(denoiser, LIGHT, [1])
    adapters = {
        key: each.detach() + 0.1 for key, each in denoiser.backbone.named_parameters()
        if each.requires_grad
    } | dict(denoiser.backbone.named_buffers())  # fmt: skip
    merged = MergedWeights(Adapters(adapters), base)
    found = merged.read("average", weights)
    assert found.keys() == weights.keys()
    assert merged.step == 7
    assert merged.digest("average") != merged.digest("model")
    changed = {key for key in weights if not torch.equal(found[key], weights[key])}
    assert {key.rpartition(".")[2] for key in changed} == {"weight"}
    with pytest.raises(CheckpointError, match="average of step 7 does not fit"):
        merged.read("average", {**weights, "more": torch.zeros(1)})


def test_adapters_are_a_function_of_the_seed_and_few():
    first, again = build_denoiser(LIGHT, 2), build_denoiser(LIGHT, 2)
    for denoiser in (first, again):
        attach_adapters(denoiser, LIGHT, [])
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    trained, total = count_adapters(LIGHT, 2, [])
    assert trained == sum(each.numel() for each in first.parameters() if each.requires_grad)
    assert trained + total == sum(each.numel() for each in first.parameters())
    assert count_adapters(LIGHT, 2, [1])[0] == trained + 32
