"""The files of generated images: metadata, the grid of the first ones, and the manifest."""

import io
import json
from pathlib import Path

import torch
from PIL import Image

from iddm_cli.engine.image_generator import SampleSpec
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.workflows.generating.image_plan import PlannedImage, plan_images
from iddm_cli.workflows.generating.output_files import (
    GRID_COLUMNS,
    GRID_IMAGES,
    GridRows,
    write_grid,
    write_image,
    write_manifest,
)
from iddm_cli.workflows.generating.output_layout import OutputLayout

METADATA = SamplingMetadata(
    run="pets", step=7, weights="average", seed=3, sampler="ddim", steps=5,
    time_grid="trailing", order=None, eta=0.0, guidance=2.0,
    guidance_interval=[0.2, 0.8], precision="bf16",
)  # fmt: skip


def layout_of(folder: Path, classes=("cat", "dog"), labels=(0, 1), grid=True) -> OutputLayout:
    return OutputLayout(folder, tuple(classes), list(labels), "png", grid=grid)


def image(label: int, index: int, **more) -> PlannedImage:
    return PlannedImage(SampleSpec(label, index), **more)


def grey(level: int = 0) -> torch.Tensor:
    return torch.full((4, 4, 1), level, dtype=torch.uint8)


def test_the_grid_has_a_row_for_each_of_many_classes_and_many_rows_of_one(tmp_path):
    names = tuple(f"c{i}" for i in range(50))
    assert GridRows(layout_of(tmp_path, names, range(50))).most == GRID_COLUMNS
    assert GridRows(layout_of(tmp_path, names, [3])).most == GRID_IMAGES
    without = GridRows(layout_of(tmp_path, names, [3], grid=False))
    without.add(image(3, 0), grey())
    assert without.list_rows() == []


def test_an_image_contains_how_it_was_generated(tmp_path):
    layout = layout_of(tmp_path)
    layout.create_folders()
    write_image(layout, METADATA, image(1, 5), grey(9))
    with Image.open(tmp_path / "dog" / "dog-000005.png") as written:
        notes = written.text
        assert written.getpixel((0, 0)) == 9
    assert notes == METADATA.text_notes(5, "dog")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["dog-000005.png"], "nothing is left"


def test_the_grid_begins_a_row_after_ten_images_and_names_the_first_row(tmp_path):
    rows = GridRows(layout_of(tmp_path))
    for i in range(12):
        rows.add(image(0, i), grey(i))
    rows.add(image(1, 0), grey())
    found = rows.list_rows()
    assert [(name, len(images)) for name, images in found] == [("cat", 10), ("", 2), ("dog", 1)]
    assert [one.getpixel((0, 0)) for one in found[1][1]] == [10, 11]
    path = write_grid(layout_of(tmp_path), found)
    with Image.open(io.BytesIO(path.read_bytes())) as grid:
        assert grid.height == 3 * 68 + 4


def test_a_row_ends_when_it_is_full(tmp_path):
    rows = GridRows(layout_of(tmp_path, [f"c{i}" for i in range(50)], range(50)))
    for i in range(GRID_COLUMNS + 1):
        rows.add(image(0, i), grey())
    assert len(rows.list_rows()[0][1]) == GRID_COLUMNS


def test_the_manifest_lists_images_by_paths_inside_the_folder(tmp_path):
    layout = layout_of(tmp_path, labels=[1])
    images = plan_images([1], [0, 1], own_noise=False)
    manifest = write_manifest(layout, METADATA, images, {"count": 2})
    assert manifest == json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["images"] == ["dog/dog-000000.png", "dog/dog-000001.png"]
    assert (manifest["classes"], manifest["count"], manifest["seed"]) == (["dog"], 2, 3)
    assert "noise" not in manifest, "the rule before there was another one"
