import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.export.trained_model import Provenance, TrainedModel
from iddm_cli.profiles.profile import ResolvedProfile
from tests.threads import one_thread  # noqa: F401


def trained(classes=("cat", "dog"), **changes: dict) -> TrainedModel:
    """Return a model whose random weights are large enough to matter."""
    tables = {
        "data": {"channels": 3, "image_size": [8, 16]},
        "model": {"base_channels": 16, "channel_multipliers": [1, 2], "blocks_per_level": 1,
                  "attention_levels": [1], "head_channels": 8, "norm_groups": 8},
        "diffusion": {}, "sampling": {"steps": 5, "guidance": 2.0},
    }  # fmt: skip
    for name, table in changes.items():
        own = "network" in table  # another network has settings of its own
        tables[name] = table if own else tables[name] | table
    profile = ResolvedProfile.model_validate(tables)
    denoiser = build_denoiser(profile, len(classes)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in denoiser.parameters():
        parameter.normal_(std=0.12, generator=generator)
    return TrainedModel(
        run="steel",
        step=500,
        weights="average",
        profile=profile,
        classes=tuple(classes),
        denoiser=denoiser,
        provenance=Provenance(
            dataset={"classes": dict.fromkeys(classes, 40), "count": 40 * max(1, len(classes))},
            metrics={"loss": 0.25, "epoch": 3.0},
            versions={"iddm": "0.1.0", "torch": "2.14"},
        ),
    )


@pytest.fixture
def model():
    return trained(data={"path": "/home/somebody/secret/steel"})


@pytest.fixture
def file(tmp_path, model):
    path = tmp_path / "steel.safetensors"
    path.write_bytes(build_safetensors(model))
    return path
