"""Reconstructions of a pack: what is measured, and the grid."""

import pytest
import torch
from PIL import Image
from torch import nn

from iddm_cli.build.latents.reconstructions import (
    ReconstructionEvaluator,
    read_originals,
    reconstruct,
    save_reconstruction_grid,
)
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.diffusion.objectives.reconstruction import Reconstructor
from iddm_cli.diffusion.schedules import linear_schedule
from iddm_cli.distributed.group import SINGLE_PROCESS
from iddm_cli.profiles.profile import Profile
from iddm_cli.runs.run import Run
from tests.e2e.conftest import draw_folder


class Darker(nn.Module):
    """Answers with the image at half its contrast, and notes how many it was given at once."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def forward(self, x, t, label, noise=None):
        self.counts.append(len(x))
        return x / 2


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    folder = draw_folder(tmp_path / "images", {"": 12})
    data = {"path": str(folder), "image_size": 16, "held_out": 0.25, "workers": 1}
    profile = Profile.model_validate(
        {"data": data, "sampling": {"batch_size": 2}, "training": {"sample_count": 3}}
    )
    pack = build_pack(open_dataset(profile.data), profile.data)
    return profile.resolve(pack.channels), pack


def darker() -> Reconstructor:
    return Reconstructor(Darker(), linear_schedule(10), prediction="epsilon")


def test_the_held_out_images_are_measured_in_batches(dataset):
    profile, pack = dataset
    model = darker()
    quality = ReconstructionEvaluator(profile, pack).measure(model)
    originals = read_originals(profile, pack.held_out, torch.arange(5))
    assert quality.images == pack.held_out.count == 5
    assert quality.worst in pack.held_out.names
    assert model.backbone.counts == [2, 2, 1]
    expected = 10 * torch.log10(4 / (originals / 2).square().flatten(1).mean(1))
    assert quality.psnr == pytest.approx(float(expected.mean()), abs=1e-4)
    assert ReconstructionEvaluator(profile, pack)(model, 5) == quality.values


def test_reconstructions_stay_in_order(dataset):
    profile, pack = dataset
    originals = read_originals(profile, pack, torch.arange(5))
    assert torch.equal(reconstruct(darker(), originals, 2), originals / 2)


def test_the_grid_shows_originals_above_reconstructions(dataset, tmp_path):
    profile, pack = dataset
    run = Run(tmp_path / "run")
    run.samples_dir.mkdir(parents=True)
    path = save_reconstruction_grid(profile, pack, run, SINGLE_PROCESS, darker(), 7)
    assert path.name == "step-00000007.png"
    grid = Image.open(path)
    assert grid.height == 2 * (64 + 4) + 4
    # A pixel of the last column, and the one below it at half the contrast.
    upper, lower = (grid.getpixel((grid.width - 20, top + 20)) for top in (4, 72))
    assert all(abs((u - 127.5) / 2 - (v - 127.5)) <= 1 for u, v in zip(upper, lower, strict=True))
