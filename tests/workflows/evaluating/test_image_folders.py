"""Folders of generated images: their size, and the classes that manifest.json names."""

import json
from dataclasses import replace

import pytest
import torch

from iddm_cli.data.progress import no_progress
from iddm_cli.errors import DatasetError
from iddm_cli.workflows.evaluating.image_folders import (
    choose_size,
    load_folder_images,
    read_class_names,
)
from iddm_cli.workflows.evaluating.image_probes import ImageProbe
from iddm_cli.workflows.evaluating.real_images import load_dataset_images
from tests.e2e.conftest import draw_folder


def test_images_are_compared_at_their_own_size():
    assert choose_size(ImageProbe(24, 20, "uint8")) == ([24, 20], "")


def test_large_images_are_compared_at_a_smaller_size():
    size, note = choose_size(ImageProbe(256, 512, "uint8"))
    assert size == [128, 256]
    assert "256 x 512" in note


@pytest.fixture
def real(tmp_path):
    folder = draw_folder(tmp_path / "real", {"cat": 9, "dog": 6}, size=(8, 8))
    return load_dataset_images(str(folder), [8, 8], no_progress)


def load(folder, real, most=None):
    return load_folder_images(str(folder), real, most=most, progress=no_progress)


def test_classes_are_matched_by_name(tmp_path, real):
    folder = draw_folder(tmp_path / "made", {"dog": 4}, size=(8, 8))
    draw_folder(folder, {"cat": 2}, size=(10, 10))
    images, found = load(folder, real)
    assert images.classes == ("cat", "dog")
    assert images.labels.bincount().tolist() == [2, 4]
    assert images.pixels.shape == (6, 3, 8, 8)
    assert found.real.has_classes


def test_absent_classes_are_named(tmp_path, real):
    images, found = load(draw_folder(tmp_path / "made", {"dog": 4}, size=(8, 8)), real)
    assert images.labels.tolist() == [1] * 4
    assert found.warnings[-1].endswith("has no images of these classes: cat")


@pytest.mark.parametrize("names", [{"": 5}, {"cow": 2, "dog": 3}])
def test_unknown_classes_are_compared_without(tmp_path, real, names):
    images, found = load(draw_folder(tmp_path / "made", names, size=(8, 8)), real)
    assert not images.has_classes
    assert not found.real.has_classes
    assert found.training.has_classes  # the feature network still has classes
    assert "without classes" in found.warnings[-1]
    assert found.network_test.classes == found.training.classes  # and is tested on classes
    assert len(found.network_test) == len(found.real)


def test_classes_that_the_real_images_lack_are_not_compared(tmp_path):
    folder = draw_folder(tmp_path / "flat", {"": 15}, size=(8, 8))
    real = load_dataset_images(str(folder), [8, 8], no_progress)
    images, found = load(draw_folder(tmp_path / "made", {"dog": 4}, size=(8, 8)), real)
    assert not images.has_classes
    (warning,) = found.warnings
    assert warning == "flat has no classes: all images are compared without classes"


def test_one_image_is_too_few(tmp_path, real):
    with pytest.raises(DatasetError, match="has 1 image"):
        load(draw_folder(tmp_path / "made", {"dog": 1}, size=(8, 8)), real)


def test_a_number_of_images_may_be_given(tmp_path, real):
    folder = draw_folder(tmp_path / "made", {"dog": 9}, size=(8, 8))
    assert len(load(folder, real, most=5)[0]) == 5


def test_a_manifest_names_classes_that_no_folder_can_be_called(tmp_path, real):
    folder = draw_folder(tmp_path / "made", {"class-0-12ab": 2, "dog": 3}, size=(8, 8))
    images = ["class-0-12ab/0.png", "class-0-12ab/1.png", "dog/0.png"]
    manifest = {"classes": ["cat", "dog"], "images": images}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found, _ = load(folder, replace(real))
    assert torch.equal(found.labels.bincount(), torch.tensor([2, 3]))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"classes": 3, "images": 4}', '{"classes": ["a"], "images": []}', "null",
     '{"classes": ["a"], "images": [7]}'],
)  # fmt: skip
def test_another_manifest_names_nothing(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    assert read_class_names(tmp_path) == {}
