"""Image generation: where each image goes, what it records, and the grid of the first ones."""

import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from iddm_cli.engine.image_generator import Sample, SampleSpec
from iddm_cli.errors import UsageError
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.workflows import generation
from iddm_cli.workflows.generation import (
    GRID_COLUMNS,
    GRID_IMAGES,
    MAX_IMAGES,
    OutputLayout,
    write_grid,
    write_image,
    write_manifest,
)

METADATA = SamplingMetadata(
    run="pets", step=7, weights="average", seed=3, sampler="ddim", steps=5,
    time_grid="trailing", eta=0.0, guidance=2.0, guidance_interval=[0.2, 0.8], precision="bf16",
)  # fmt: skip


def layout_of(folder: Path, classes=("cat", "dog"), labels=(0, 1), count=2, form="png", grid=True):
    return OutputLayout(folder, tuple(classes), list(labels), count, form, grid=grid)


def sample(label: int, index: int, level: int = 0) -> Sample:
    return Sample(SampleSpec(label, index), torch.full((4, 4, 1), level, dtype=torch.uint8))


def test_an_image_is_in_the_folder_of_its_class(tmp_path):
    layout = layout_of(tmp_path, form="webp")
    assert layout.image_path(1, 7) == tmp_path / "dog" / "dog-000007.webp"
    plain = layout_of(tmp_path, classes=(), labels=(0,))
    assert plain.image_path(0, 7) == tmp_path / "images" / "image-000007.png"


def test_the_grid_has_a_row_for_each_of_many_classes_and_many_rows_of_one(tmp_path):
    names = tuple(f"c{i}" for i in range(50))
    assert layout_of(tmp_path, names, range(50)).images_in_grid == GRID_COLUMNS
    assert layout_of(tmp_path, names, [3]).images_in_grid == GRID_IMAGES
    assert layout_of(tmp_path, names, [3], grid=False).labels_in_grid == []


def test_exactly_the_most_images_are_allowed(tmp_path):
    layout_of(tmp_path, count=MAX_IMAGES // 2).check_count()
    with pytest.raises(UsageError, match="--count"):
        layout_of(tmp_path, count=MAX_IMAGES // 2 + 1).check_count()


def test_a_folder_with_files_is_used_only_when_told_to_overwrite(tmp_path):
    layout = layout_of(tmp_path / "out")
    layout.check_empty(overwrite=False)
    (tmp_path / "out").mkdir()
    layout.check_empty(overwrite=False)
    (tmp_path / "out" / "a").touch()
    layout.check_empty(overwrite=True)
    with pytest.raises(UsageError, match="is not empty"):
        layout.check_empty(overwrite=False)
    with pytest.raises(UsageError, match="Not a directory"):
        layout_of(tmp_path / "out" / "a").check_empty(overwrite=True)


def test_an_image_contains_how_it_was_generated(tmp_path):
    layout = layout_of(tmp_path)
    layout.create_folders()
    write_image(layout, METADATA, sample(1, 5, level=9))
    with Image.open(tmp_path / "dog" / "dog-000005.png") as image:
        notes = image.text
        assert image.getpixel((0, 0)) == 9
    assert notes == METADATA.text_notes(5, "dog")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["dog-000005.png"], "nothing is left"


def test_the_grid_begins_a_row_after_ten_images_and_names_the_first_row(tmp_path, monkeypatch):
    rows = []
    blank = Image.new("L", (1, 1))
    monkeypatch.setattr(
        generation.image_files, "make_grid", lambda given: rows.extend(given) or blank
    )
    twelve = [sample(0, i, level=i) for i in range(12)]
    write_grid(layout_of(tmp_path), {0: twelve, 1: [sample(1, 0)]})
    assert [(name, len(images)) for name, images in rows] == [("cat", 10), ("", 2), ("dog", 1)]
    assert [image.getpixel((0, 0)) for image in rows[1][1]] == [10, 11]
    assert Image.open(io.BytesIO((tmp_path / "grid.png").read_bytes())).size == (1, 1)


def test_the_manifest_lists_images_by_paths_inside_the_folder(tmp_path):
    layout = layout_of(tmp_path, labels=[1], count=2)
    paths = [layout.image_path(1, index) for index in range(2)]
    manifest = write_manifest(layout, METADATA, paths)
    assert manifest == json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["images"] == ["dog/dog-000000.png", "dog/dog-000001.png"]
    assert (manifest["classes"], manifest["count"], manifest["seed"]) == (["dog"], 2, 3)
