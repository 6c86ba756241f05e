"""The images that variations start from: decoded as training images, with their classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.progress import no_progress
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.generating.source_images import (
    SourceImages,
    choose_labels,
    load_sources,
)
from tests.build.profiles import tiny_profile

CLASSES = ("cat", "dog")


def draw(path: Path, size=(8, 8), colour=(200, 10, 90)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def load(path: Path, classes=CLASSES, **data) -> SourceImages:
    profile = tiny_profile(data={"channels": 3, "image_size": [8, 8], "workers": 1, **data})
    return load_sources(path, profile, EIGHT_BIT, classes, no_progress)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    draw(root / "dog" / "rex.png", colour=(1, 2, 3))
    draw(root / "cat" / "tom.png", size=(16, 8), colour=(9, 8, 7))
    return root


def test_images_of_class_folders_keep_their_class(folder):
    found = load(folder)
    assert found.names == ("cat/tom.png", "dog/rex.png")
    assert found.labels == (0, 1)
    assert load(folder, ("dog", "bird", "cat")).labels == (2, 0)
    assert found.sizes == ((16, 8), (8, 8))
    assert found.levels.shape == (2, 3, 8, 8)
    assert found.levels[1, :, 0, 0].tolist() == [1, 2, 3]


def test_an_image_or_a_flat_folder_has_the_class_of_its_folder(folder):
    assert load(folder / "dog" / "rex.png").labels == (1,)
    assert load(folder / "dog").labels == (1,)
    assert load(folder / "dog", ("cat", "bird")).labels is None


def test_a_single_class_folder_is_a_class(tmp_path):
    draw(tmp_path / "dog" / "a.png")
    draw(tmp_path / "dog" / "b.png", colour=(1, 1, 1))
    assert load(tmp_path).labels == (1, 1)


def test_an_image_becomes_what_training_makes_of_it(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "wide.png"
    Image.fromarray(rng.integers(0, 255, (8, 20, 3), np.uint8)).save(path)
    padded = load(path, aspect="pad", background="grey")
    assert padded.levels[0, :, 0, 0].tolist() == [128, 128, 128]
    cropped = load(path)
    expected = np.asarray(Image.open(path))[:, 6:14]
    assert np.array_equal(cropped.levels[0].permute(1, 2, 0).numpy(), expected)


def test_a_folder_that_iddm_generated_names_its_classes_in_the_manifest(folder, tmp_path):
    draw(tmp_path / "class-0-0123456789" / "a.png")
    draw(tmp_path / "dog" / "b.png")
    images = ["class-0-0123456789/a.png", "dog/b.png"]
    manifest = {"classes": ["a/b", "dog"], "images": images}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert load(tmp_path, ("a/b", "dog")).labels == (0, 1)


def test_the_class_must_be_known_or_given(folder):
    unknown = load(folder, ("cat", "bird"))
    assert unknown.labels is None
    with pytest.raises(UsageError, match="class of these images is not known") as caught:
        choose_labels(unknown, None, ("cat", "bird"))
    assert "--class" in caught.value.hint
    assert choose_labels(unknown, [1, 0], ("cat", "bird")) == [[1, 0], [1, 0]]
    assert choose_labels(load(folder), None, CLASSES) == [[0], [1]]
    assert choose_labels(load(folder, ()), None, ()) == [[0], [0]]


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(UsageError, match="there is no such file or folder"):
        load(tmp_path / "no.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(DatasetError, match=r"bad\.png cannot be decoded"):
        load(tmp_path / "bad.png")
