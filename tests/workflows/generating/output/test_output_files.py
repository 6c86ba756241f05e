"""The files of generated images: metadata, the grid of the first ones, and the manifest."""

import io
import json
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from iddm_cli.engine.image_generator import SampleSpec
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.workflows.generating.image_plan import PlannedImage, plan_images
from iddm_cli.workflows.generating.output.output_files import (
    GRID_COLUMNS,
    GRID_IMAGES,
    GridRows,
    describe_folder,
    write_grid,
    write_image,
)
from iddm_cli.workflows.generating.output.output_layout import OutputLayout

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


def rows_of(layout: OutputLayout, count: int, **more) -> GridRows:
    images = [image(label, i) for label in layout.labels for i in range(count)]
    rows = GridRows(layout, images, **more)
    for one in images:
        rows.add(one, grey(one.spec.index))
    return rows


def test_the_grid_has_a_row_for_each_of_many_classes_and_many_rows_of_one(tmp_path):
    names = tuple(f"c{i}" for i in range(50))
    assert rows_of(layout_of(tmp_path, names, range(50)), 11).most == GRID_COLUMNS
    assert rows_of(layout_of(tmp_path, names, [3]), 1).most == GRID_IMAGES
    assert rows_of(layout_of(tmp_path, names, [3], grid=False), 1).list_rows() == []


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
    layout = layout_of(tmp_path)
    found = rows_of(layout, 12).list_rows()
    sizes = [(name, len(images)) for name, images in found]
    assert sizes == [("cat", 10), ("", 2), ("dog", 10), ("", 2)]
    assert [one.getpixel((0, 0)) for one in found[1][1]] == [10, 11]
    path = write_grid(layout, found)
    with Image.open(io.BytesIO(path.read_bytes())) as grid:
        assert grid.height == 4 * 68 + 4


def test_a_row_ends_when_it_is_full_and_may_be_longer(tmp_path):
    many = layout_of(tmp_path, [f"c{i}" for i in range(50)], range(50))
    assert len(rows_of(many, GRID_COLUMNS + 1).list_rows()[0][1]) == GRID_COLUMNS
    assert len(rows_of(many, 15, columns=15).list_rows()[0][1]) == 15


def test_variations_stand_in_a_row_behind_their_source(tmp_path):
    images = [image(1, i) for i in range(4)]
    images = [replace(one, spec=replace(one.spec, source=i // 2)) for i, one in enumerate(images)]
    rows = GridRows(
        layout_of(tmp_path),
        images,
        first_cells=lambda source: [Image.new("L", (4, 4), 90 + source)],
    )
    for i, one in enumerate(images):
        rows.add(one, grey(i))
    found = [(name, [one.getpixel((0, 0)) for one in row]) for name, row in rows.list_rows()]
    assert found == [("dog", [90, 0, 1]), ("", [91, 2, 3])]


def test_the_manifest_lists_images_by_paths_inside_the_folder(tmp_path):
    layout = layout_of(tmp_path, labels=[1])
    images = plan_images([1], [0, 1], own_noise=False)
    manifest = describe_folder(layout, METADATA, images, {"count": 2})
    assert json.loads(json.dumps(manifest)) == manifest
    assert manifest["images"] == ["dog/dog-000000.png", "dog/dog-000001.png"]
    assert (manifest["classes"], manifest["count"], manifest["seed"]) == (["dog"], 2, 3)
    assert "noise" not in manifest, "the rule before there was another one"


def test_the_grid_reads_images_that_were_not_generated_now(tmp_path):
    layout = layout_of(tmp_path, labels=[0])
    images = [image(0, i) for i in range(3)]
    rows = GridRows(layout, images)
    rows.add(images[1], grey(7))
    rows.fill(lambda path: None if path.stem.endswith("2") else grey(50))
    ((_, row),) = rows.list_rows()
    assert [one.getpixel((0, 0)) for one in row] == [50, 7], "a damaged one is left out"
