"""What a folder holds already: whose images, and which of them are whole."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli import array_files
from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.progress import no_progress
from iddm_cli.errors import UsageError
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.generating.image_plan import plan_images
from iddm_cli.workflows.generating.output.existing_images import (
    adopt_folder,
    count_missing,
    find_missing,
    find_problem,
    read_manifest,
    read_pixels,
)
from iddm_cli.workflows.generating.output.output_layout import OutputLayout

MANIFEST = {"seed": 3, "count": 2, "images": ["cat/cat-000000.png", "cat/cat-000001.png"]}


@pytest.fixture
def layout(tmp_path):
    made = OutputLayout(tmp_path, ("cat",), [0], "png", grid=True)
    made.create_folders()
    return made


def test_the_same_command_and_one_for_more_images_find_their_folder_again(layout):
    adopt_folder(layout.folder, dict(MANIFEST), overwrite=False)
    adopt_folder(layout.folder, dict(MANIFEST), overwrite=False)
    more = MANIFEST | {"count": 3, "images": [*MANIFEST["images"], "cat/cat-000002.png"]}
    adopt_folder(layout.folder, more, overwrite=False)
    assert read_manifest(layout.folder) == more
    with pytest.raises(UsageError, match="also holds 1 images"):
        adopt_folder(layout.folder, dict(MANIFEST), overwrite=False)
    assert read_manifest(layout.folder) == more


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": 4}, "seed 3, not 4"), ({"threshold": 0.9}, "threshold absent, not 0.9")],
)
def test_images_of_other_settings_are_not_mixed_in(layout, change, said):
    adopt_folder(layout.folder, dict(MANIFEST), overwrite=False)
    with pytest.raises(UsageError, match=said):
        adopt_folder(layout.folder, MANIFEST | change, overwrite=False)
    adopt_folder(layout.folder, MANIFEST | change, overwrite=True)
    assert read_manifest(layout.folder) == MANIFEST | change


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": [1]}', "[" * 10**5])
def test_a_damaged_manifest_is_one_clear_error(layout, content):
    (layout.folder / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match="is damaged"):
        read_manifest(layout.folder)


def test_a_batch_is_left_if_an_image_of_it_is_absent_or_damaged(layout):
    batches = [plan_images([0], indices, own_noise=False) for indices in ((0, 1), (2, 3), (4, 5))]
    paths = [layout.planned_path(image) for batch in batches for image in batch]
    for path in paths:
        Image.new("L", (8, 8)).save(path)
    companion = layout.folder / "strip.png"
    companions = {paths[4]: [companion]}
    companion.touch()
    assert find_missing(layout, batches, companions, no_progress).batches == []
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    paths[2].unlink()
    found = find_missing(layout, batches, companions, no_progress)
    assert (found.batches, found.wanted) == (batches[:2], {paths[1], paths[2]})
    assert count_missing(layout, [image for batch in batches for image in batch]) == 1
    companion.unlink()
    assert paths[4] in find_missing(layout, batches, companions, no_progress).wanted


@pytest.mark.parametrize(
    ("form", "values", "channels"),
    [
        ("png", EIGHT_BIT, 3),
        ("webp", EIGHT_BIT, 1),
        ("npy", EIGHT_BIT, 4),
        ("png", ValueRange("uint16", (0.0,), (65535.0,)), 1),
        ("png", ValueRange("uint16", (0.0,) * 3, (65535.0,) * 3), 3),
    ],
)
def test_the_pixels_of_a_file_are_those_that_were_written(tmp_path, form, values, channels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, values.levels, (6, 5, channels)).astype(values.level_dtype)
    path = tmp_path / f"a.{form}"
    if form == "webp":
        Image.fromarray(pixels[..., 0]).save(path, lossless=True)
    else:
        path.write_bytes(array_files.encode_values(values.to_values(pixels), form))
    assert find_problem(path) == ""
    spec = PixelSpec((6, 5), channels, "crop", "white", values)
    assert (read_pixels(path, spec) == pixels).all()
    path.write_bytes(path.read_bytes()[:-9])
    assert find_problem(path) == "damaged"
    path.write_bytes(path.read_bytes()[:30])
    assert read_pixels(path, spec) is None
    path.unlink()
    assert find_problem(path) == "missing"
