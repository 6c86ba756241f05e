"""Real images: held-out ones of a run, the parts of a dataset, and what is said about them."""

from pathlib import Path

import pytest

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.progress import no_progress
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from iddm_cli.workflows.evaluating.real_images import (
    load_dataset_images,
    load_other_images,
    load_run_images,
)
from iddm_cli.workflows.models import RunModel
from iddm_cli.workflows.training.data import describe_dataset
from tests.build.profiles import tiny_profile
from tests.e2e.conftest import draw_folder

COUNTS = {"cat": 30, "dog": 20}


@pytest.fixture
def photos(tmp_path) -> Path:
    return draw_folder(tmp_path / "photos", COUNTS, size=(8, 8))


def make_run(tmp_path: Path, data: Path, name: str = "pets", **settings: object) -> RunModel:
    """Return a run that has been trained on a folder, without checkpoints."""
    settings = {"image_size": 8, "channels": 3, "workers": 1, "held_out": 0.2, **settings}
    profile = tiny_profile(data={"path": str(data), **settings})
    pack = build_pack(open_dataset(profile.data), profile.data)
    files = {
        "profile.yaml": dump_profile(profile).encode(),
        "dataset.json": encode_json(describe_dataset(pack, str(data))),
        "run.json": encode_json({"updated": "2026"}),
    }
    return RunModel(create_run(tmp_path / "runs", name, files))


def names_of(images) -> set[str]:
    return set(images.names)


def test_a_run_is_compared_with_its_held_out_images(tmp_path, photos):
    found = load_run_images(make_run(tmp_path, photos), no_progress)
    assert found.unseen
    assert found.warnings == ()
    assert 4 <= len(found.real) <= 20
    assert len(found.real) + len(found.training) == 50
    assert names_of(found.real).isdisjoint(names_of(found.training))
    assert found.model_training is found.training
    assert found.real.classes == found.training.classes == ("cat", "dog")
    assert sum(found.class_counts()) == len(found.real)


def test_random_crops_do_not_change_which_images_are_held_out(tmp_path, photos):
    plain = load_run_images(make_run(tmp_path, photos), no_progress)
    cropped = load_run_images(make_run(tmp_path, photos, "b", random_crop=0.8), no_progress)
    assert cropped.real.pixels.shape[2:] == (8, 8)
    assert names_of(cropped.real) == names_of(plain.real)
    (warning,) = cropped.warnings
    assert "random crops" in warning


def test_a_run_without_held_out_images_is_compared_with_half_of_its_own(tmp_path, photos):
    found = load_run_images(make_run(tmp_path, photos, held_out=0.0), no_progress)
    assert not found.unseen
    assert (len(found.real), len(found.training), len(found.model_training)) == (25, 25, 50)
    assert names_of(found.real).isdisjoint(names_of(found.training))
    (warning,) = found.warnings
    assert "has no held-out images" in warning
    assert "--against" in warning


def test_images_that_have_changed_are_a_warning(tmp_path, photos):
    model = make_run(tmp_path, photos)
    draw_folder(photos, {"cat": 31, "dog": 20}, size=(9, 8))
    found = load_run_images(model, no_progress)
    assert found.warnings[0].startswith("the images have changed since run pets was trained")


def test_missing_images_name_the_way_out(tmp_path, photos):
    model = make_run(tmp_path, photos)
    photos.rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match="the images of run pets cannot be used") as caught:
        load_run_images(model, no_progress)
    assert "iddm evaluate pets --against DATASET" in caught.value.hint


def test_an_imported_run_and_an_exported_file_know_no_images(tmp_path, photos, model):
    run = make_run(tmp_path, photos)
    run.run.write_json("dataset.json", {"classes": {"cat": None}, "digest": None})
    for subject in (RunModel(run.run), model):
        with pytest.raises(DatasetError) as caught:
            load_run_images(subject, no_progress)
        assert "--against DATASET" in caught.value.hint


def test_too_few_images_are_refused(tmp_path):
    folder = draw_folder(tmp_path / "few", {"cat": 4, "dog": 4}, size=(8, 8))
    with pytest.raises(DatasetError, match="there are 8 real images"):
        load_run_images(make_run(tmp_path, folder), no_progress)


def test_another_dataset_is_compared_with_whole(tmp_path, photos):
    model = make_run(tmp_path, photos)
    other = draw_folder(tmp_path / "other", {"dog": 7, "cat": 5}, size=(9, 9))
    found = load_other_images(model, str(other), no_progress)
    assert len(found.real) == 12
    assert found.real.labels.bincount().tolist() == [5, 7]
    assert found.training.name == "training images of pets"


def test_training_images_in_another_dataset_are_counted(tmp_path, photos):
    found = load_other_images(make_run(tmp_path, photos), str(photos), no_progress)
    (warning,) = found.warnings
    assert f"{len(found.training):,} of the 50 images" in warning


def test_a_dataset_with_parts_is_compared_by_its_held_out_part(tmp_path):
    folder = draw_folder(tmp_path / "set", {"train/cat": 9, "train/dog": 9}, size=(8, 8))
    draw_folder(folder, {"val/cat": 3, "val/dog": 2}, size=(9, 8))
    found = load_dataset_images(str(folder), [8, 8], no_progress)
    assert (len(found.real), len(found.training)) == (5, 18)
    assert "val" in found.real.name


def test_a_dataset_without_parts_is_divided(tmp_path, photos):
    found = load_dataset_images(str(photos), [8, 8], no_progress)
    assert len(found.real) == len(found.training) == 25


def test_unknown_classes_are_compared_without(tmp_path, photos):
    model = make_run(tmp_path, photos)
    other = draw_folder(tmp_path / "other", {"cow": 7, "cat": 5}, size=(9, 9))
    found = load_other_images(model, str(other), no_progress)
    assert not found.real.has_classes
    assert found.training.has_classes
    assert "of classes cow" in found.warnings[-1]


def test_a_run_whose_images_are_gone_can_still_be_compared(tmp_path, photos):
    model = make_run(tmp_path, photos)
    other = draw_folder(tmp_path / "other", {"cat": 15, "dog": 15}, size=(9, 9))
    photos.rename(tmp_path / "elsewhere")
    found = load_other_images(model, str(other), no_progress)
    assert len(found.real) + len(found.training) == 30
    assert "copies are looked for among images of" in found.warnings[0]
