"""The weights that a new run starts from."""

import pytest
import torch

from iddm_cli.build.networks import build_backbone, build_denoiser
from iddm_cli.build.transferring.initial_weights import (
    iter_initial_checkpoint,
    load_initial_weights,
)
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.networks.transferring.weight_transfer import ClassMapping
from tests.build.profiles import tiny_profile
from tests.build.weights import FakeWeights


@pytest.mark.parametrize(("weights", "value"), [("average", 1.0), ("raw", 2.0)])
def test_they_fit_the_new_network_and_are_those_that_were_asked_for(weights, value):
    before = tiny_profile(sampling={"weights": weights})
    after = tiny_profile(data={"channels": 1, "image_size": 32})
    found = load_initial_weights(before, 2, FakeWeights(), after, ClassMapping((1, None, 0)))
    network = build_backbone(after, 3)
    network.load_state_dict(found)
    table = network.class_table().weight
    assert torch.equal(table[[0, 2, 3]], torch.full((3, 32), value))
    assert torch.equal(table[1], torch.full((32,), value)), "old rows that are equal have no spread"
    assert torch.equal(network.conv_in.weight, torch.full((8, 1, 3, 3), 3 * value))


def test_a_training_starts_from_their_checkpoint(tmp_path):
    weights = build_denoiser(tiny_profile(), 2).backbone.state_dict()
    folder = tmp_path / "step-00000000"
    folder.mkdir()
    for name, content in iter_initial_checkpoint(weights, weights):
        (folder / name).write_bytes(content)
    checkpoint, errors = CheckpointFolder(tmp_path).latest_valid()
    assert (checkpoint.step, checkpoint.numerics, errors) == (0, {}, [])
    for part in ("model", "average"):
        read = checkpoint.read(part, weights)
        assert all(torch.equal(read[name], tensor) for name, tensor in weights.items())
