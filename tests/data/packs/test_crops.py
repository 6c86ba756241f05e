"""Crops: images at their own size, once each; tiles beside each other; a split by images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.build.data import open_crops
from iddm_cli.data.packs import store
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.crops import find_median_size, plan_tiles
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

CROP = (8, 12)
SETTINGS = DataSettings(crop=[*CROP], workers=1, held_out=0)


def change(**values: object) -> DataSettings:
    return SETTINGS.model_copy(update=values)


@pytest.fixture
def surfaces(tmp_path: Path) -> Path:
    """Two classes of 12 colour images of many sizes, and one too small for a crop."""
    rng = np.random.default_rng(0)
    for i in range(24):
        path = tmp_path / "surfaces" / ("steel" if i < 12 else "wood") / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (*rng.integers(CROP, 40), 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    Image.new("RGB", (CROP[1], CROP[0] - 1)).save(tmp_path / "surfaces" / "wood" / "small.png")
    return tmp_path / "surfaces"


def read_file(folder: Path, name: str) -> np.ndarray:
    return np.moveaxis(np.asarray(Image.open(folder / name)), -1, 0)


@pytest.mark.parametrize(
    ("size", "count"), [((8, 12), 1), ((15, 23), 1), ((16, 24), 4), ((100, 13), 12)]
)
def test_tiles_lie_beside_each_other_inside_the_image(size, count):
    tiles = plan_tiles(np.array(size), CROP)
    covered = np.zeros(size, int)
    for top, left in tiles:
        assert 0 <= top <= size[0] - CROP[0]
        assert 0 <= left <= size[1] - CROP[1]
        covered[top : top + CROP[0], left : left + CROP[1]] += 1
    assert len(tiles) == count
    assert covered.max() == 1
    if count > 1:
        assert covered[0, 0] == covered[-1, 0] == 1


def test_every_tile_is_read_from_its_image(surfaces):
    pack = build_pack(FolderSource(surfaces), SETTINGS)
    tiles = open_crops(pack).read(torch.arange(pack.count)).numpy()
    for tile, name in zip(tiles, pack.names, strict=True):
        path, _, place = name.partition(" at ")
        left, top = map(int, place.split(","))
        image = read_file(surfaces, path)
        assert (tile == image[:, top : top + CROP[0], left : left + CROP[1]]).all()
    assert pack.pixels_bytes == sum(
        read_file(surfaces, name).size for name in store.read_names(pack.folder)
    )


def test_an_image_without_room_for_a_crop_is_skipped_and_named(surfaces):
    pack = build_pack(FolderSource(surfaces), SETTINGS)
    reason = "smaller than data.crop: 12 x 7 pixels, of 12 x 8"
    assert pack.unreadable == [("wood/small.png", reason)]
    with pytest.raises(DatasetError, match=r"wood/small.png .* smaller than data\.crop"):
        build_pack(FolderSource(surfaces), change(on_error="fail"))


def test_images_and_not_crops_are_held_out(surfaces):
    pack = build_pack(FolderSource(surfaces), change(held_out=0.3))
    assert pack.held_out is not None
    trained, kept = set(pack.rows.tolist()), set(pack.held_out.rows.tolist())
    assert kept
    assert not trained & kept
    assert trained | kept == set(range(24))
    report = pack.report_held_out()
    assert (report.count, report.training) == (len(kept), len(trained))
    assert sum(report.classes.values()) == len(kept)


def count_items(pack: Pack) -> list[int]:
    return np.bincount(pack.rows).tolist()


def test_an_image_counts_as_often_as_crops_fit_into_it(surfaces):
    pack = build_pack(FolderSource(surfaces), SETTINGS)
    fitting = [
        (image.shape[1] // CROP[0]) * (image.shape[2] // CROP[1])
        for image in (read_file(surfaces, name) for name in store.read_names(pack.folder))
    ]
    assert count_items(pack) == fitting
    assert pack.class_counts() == [sum(fitting[:12]), sum(fitting[12:])]
    assert pack.image_class_counts() == [12, 12]


def test_images_shrink_before_they_are_cropped(surfaces):
    pack = build_pack(
        FolderSource(surfaces), change(crop_scale=0.5, crop=[4, 6], image_size=[4, 6])
    )
    sizes = store.read_shapes(pack.folder)
    names = store.read_names(pack.folder)
    originals = np.array([read_file(surfaces, name).shape[1:] for name in names])
    assert (np.abs(sizes - originals / 2) <= 0.5).all()


def test_a_grey_set_has_one_channel_and_is_found_again(surfaces):
    for path in surfaces.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    source = FolderSource(surfaces)
    pack = build_pack(source, SETTINGS)
    assert pack.channels == 1
    again = build_pack(source, SETTINGS)
    assert (again.folder, again.digest) == (pack.folder, pack.digest)
    assert build_pack(source, change(crop=8, image_size=8)).folder != pack.folder


def test_a_damaged_list_of_sizes_is_no_pack(surfaces):
    source = FolderSource(surfaces)
    folder = build_pack(source, SETTINGS).folder
    sizes = store.read_shapes(folder)
    for wrong in (sizes[:-1], sizes + 1, sizes - 40):
        (folder / store.SHAPES).write_bytes(wrong.astype("<i4").tobytes())
        assert store.read_record(folder) is None
    rebuilt = build_pack(source, SETTINGS)
    assert (store.read_shapes(rebuilt.folder) == sizes).all()


def test_the_median_size_is_that_of_the_images_which_crops_are_taken_of(tmp_path):
    for name, size in (("a", (12, 8)), ("b", (20, 11)), ("c", (36, 9)), ("d", (11, 70))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    pack = build_pack(FolderSource(tmp_path), SETTINGS)
    assert len(pack.rows) == 1 + 1 + 3, "d is too small"
    assert find_median_size(pack) == (9, 36), "crops are counted, and c has three"
