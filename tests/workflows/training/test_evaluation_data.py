"""What a training is evaluated with is prepared before it starts, or not at all."""

import pytest

from iddm_cli.build import evaluator
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.workflows.training.evaluation_data import prepare_evaluation
from tests.build.profiles import tiny_profile
from tests.e2e.conftest import draw_folder


@pytest.fixture
def prepared(monkeypatch) -> list:
    calls: list = []
    monkeypatch.setattr(
        evaluator, "prepare_features", lambda profile, pack, **_: calls.append((profile, pack))
    )
    return calls


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    folder = draw_folder(tmp_path / "set", {"cat": 12, "dog": 11}, size=(16, 16))

    def build_one(every: int, **data: object):
        data = {"path": str(folder), "image_size": 16, "channels": 3, "workers": 1, **data}
        profile = tiny_profile(data=data, evaluation={"every": every})
        return profile, build_pack(open_dataset(profile.data), profile.data)

    return build_one


def test_without_evaluations_nothing_is_prepared(build, prepared):
    assert prepare_evaluation(*build(0), None) is None
    assert prepared == []


def test_the_dataset_itself_is_compared_with(build, prepared):
    profile, pack = build(5)
    assert prepare_evaluation(profile, pack, None) is pack
    assert prepared == [(profile, pack)]


def test_random_crops_are_left_out(build, prepared):
    profile, pack = build(5, random_crop=0.8)
    found = prepare_evaluation(profile, pack, None)
    assert (pack.height, found.height) == (20, 16)
    assert sorted(found.names) == sorted(pack.names)
    assert prepared[0][0].data.random_crop == 1


def test_training_images_are_compared_with_under_a_warning(build, prepared, capsys):
    prepare_evaluation(*build(5, held_out=0.0), None)
    assert "evaluation.every compares generated images with training images" in (
        capsys.readouterr().err
    )
