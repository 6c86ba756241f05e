"""The evaluator of a training: the same numbers in every process group, and no other training."""

from dataclasses import dataclass, field

import pytest
import torch

from iddm_cli.build.evaluator import build_evaluator, prepare_features
from iddm_cli.build.networks import build_denoiser
from iddm_cli.data.cache import evaluation_folder
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from tests.build.profiles import tiny_profile
from tests.e2e.conftest import draw_folder


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    folder = draw_folder(tmp_path / "set", {"cat": 30, "dog": 20}, size=(16, 16))
    data = {"path": str(folder), "image_size": 16, "channels": 3, "held_out": 0.4, "workers": 1}
    sampling = {"steps": 2, "batch_size": 8}
    return tiny_profile(data=data, sampling=sampling, evaluation={"every": 5, "count": 21})


@pytest.fixture
def pack(profile):
    return build_pack(open_dataset(profile.data), profile.data)


@pytest.fixture
def denoiser(profile):
    torch.manual_seed(0)
    return build_denoiser(profile, 2).eval()


@dataclass(frozen=True)
class TwoProcesses(ProcessGroup):
    """A process group of two whose processes are called one after the other."""

    world_size: int = 2
    gathered: list = field(default_factory=list)

    def gather_object(self, value):
        self.gathered[self.rank] = value
        return self.gathered if self.is_main else []


def test_without_a_dataset_there_is_no_evaluator(profile):
    assert build_evaluator(profile, None, SINGLE_PROCESS) is None


def test_numbers_are_the_same_for_one_process_and_for_two(profile, pack, denoiser):
    alone = build_evaluator(profile, pack, SINGLE_PROCESS)(denoiser, 5)
    assert {"mind", "agreement", "copies"} <= set(alone)
    assert all(isinstance(value, float) for value in alone.values())
    gathered: list = [None, None]
    for rank in (1, 0):  # the main process last, when all shares are there
        group = TwoProcesses(rank, gathered=gathered)
        values = build_evaluator(profile, pack, group)(denoiser, 5)
        if rank == 1:
            assert values == {}
    assert values == pytest.approx(alone, rel=1e-3, abs=1e-3)


def test_the_random_numbers_of_a_training_are_not_touched(profile, pack, denoiser):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    prepare_features(profile, pack)
    build_evaluator(profile, pack, SINGLE_PROCESS)(denoiser, 5)
    assert torch.equal(torch.rand(3), expected)


def test_the_network_is_trained_before_the_training_begins(profile, pack, monkeypatch):
    stages: set[str] = set()
    prepare_features(profile, pack, progress=lambda stage, *_: stages.add(stage))
    assert any("feature network" in stage for stage in stages)
    before = sorted(evaluation_folder("features").rglob("*"))
    again: set[str] = set()
    prepare_features(profile, pack, progress=lambda stage, *_: again.add(stage))
    assert again == {"reading real images"}
    assert sorted(evaluation_folder("features").rglob("*")) == before
