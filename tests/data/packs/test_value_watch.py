"""Packs of deeper values, of many bands and of labels; and packs that earlier versions built."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.images import decode_image_file
from iddm_cli.data.packs import store
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources import folder as folder_source
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from tests.data.packs.test_auto_channels import InProcess

XRAY = ValueRange("uint16", (300.0,), (3300.0,))


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
    for module in ("packs.builder", "packs.value_watch", "values.survey"):
        monkeypatch.setattr(f"iddm_cli.data.{module}.WorkerPool", InProcess)


def settings(**values: object) -> DataSettings:
    return DataSettings(**{"image_size": 8, "workers": 1, "held_out": 0, **values})


def deep(low: int = 300, high: int = 3300, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(low, high + 1, (8, 8)).astype(np.uint16)
    values[0, :2] = low, high
    return Image.fromarray(values)


def make_set(root: Path, *images: Image.Image) -> FolderSource:
    root.mkdir(exist_ok=True)
    for i, image in enumerate(images):
        image.save(root / f"{i:03d}.png")
    return FolderSource(root)


def lungs(root: Path) -> FolderSource:
    return make_set(root, *(deep(seed=i) for i in range(12)))


def labels(root: Path) -> FolderSource:
    random = np.random.default_rng(0)
    images = (random.integers(0, 3, (8, 8)).astype(np.uint8) for _ in range(12))
    return make_set(root, *map(Image.fromarray, images))


def pixels(pack: Pack) -> np.ndarray:
    shape = (pack.count, pack.channels, pack.height, pack.width)
    return np.fromfile(pack.images_path, pack.values.level_dtype).reshape(shape)


def test_levels_are_within_half_a_level_of_the_files(tmp_path: Path) -> None:
    pack = build_pack(lungs(tmp_path / "set"), settings())
    assert (pack.values, pack.channels, pack.record.grey) == (XRAY, 1, True)
    assert pack.images_path.name == "images.u16"
    assert not (pack.folder / "images.u8").exists()
    for planes, name in zip(pixels(pack), pack.names, strict=True):
        values = np.asarray(Image.open(tmp_path / "set" / name)).astype(float)
        assert np.abs(planes[0] - (values - 300) / 3000 * 65_535).max() <= 0.5
    assert pack.pixels_bytes == pack.images_path.stat().st_size == 12 * 64 * 2


def test_a_deep_pack_is_found_again_without_decoding(tmp_path: Path, monkeypatch) -> None:
    source = lungs(tmp_path / "set")
    first = build_pack(source, settings())
    monkeypatch.setattr(folder_source, "decode_image_file", None)
    again = build_pack(source, settings())
    assert (again.folder, again.digest, again.values) == (first.folder, first.digest, XRAY)


def test_another_range_makes_another_pack(tmp_path: Path) -> None:
    source = lungs(tmp_path / "set")
    packs = [build_pack(source, settings(value_range=r)) for r in ("auto", [0, 4095], [300, 3300])]
    assert packs[0].folder != packs[1].folder
    assert packs[0].folder == packs[2].folder
    assert len({pack.digest for pack in packs}) == 2


def test_the_range_of_a_run_is_kept_whatever_the_images_are_now(tmp_path: Path) -> None:
    source = lungs(tmp_path / "set")
    recorded = ValueRange("uint16", (0.0,), (9_999.0,))
    pack = build_pack(source, settings(channels=1), values=recorded)
    assert pack.values == recorded
    reduced = build_pack(source, settings(channels=1), values=EIGHT_BIT)
    assert pixels(reduced).max() == 13, "a run of an earlier version: 3300 / 257"


def test_a_late_deep_image_starts_the_survey(tmp_path: Path) -> None:
    images = [Image.linear_gradient("L")] * 9
    pack = build_pack(make_set(tmp_path / "set", *images, deep(0, 65_535)), settings())
    assert (pack.values, pack.count) == (EIGHT_BIT, 10)
    assert pack.value_notes == ("1 image of more than 8 bits reduced to 8, as the others",)
    partial = [path for path in pack.folder.parent.iterdir() if path.name.startswith(".")]
    assert partial == []


def test_labels_have_the_range_of_their_own(tmp_path: Path) -> None:
    pack = build_pack(labels(tmp_path / "set"), settings())
    assert pack.values == ValueRange("uint8", (0.0,), (2.0,))
    assert np.unique(pixels(pack)).tolist() == [0, 32_768, 65_535]
    plain = build_pack(FolderSource(tmp_path / "set"), settings(value_range=[0, 255]))
    assert plain.values == EIGHT_BIT
    assert np.unique(pixels(plain)).tolist() == [0, 1, 2]


def test_an_ordinary_set_is_decoded_once_and_recorded_as_before(tmp_path: Path) -> None:
    pack = build_pack(make_set(tmp_path / "set", *[Image.linear_gradient("L")] * 3), settings())
    record = json.loads((pack.folder / "pack.json").read_text())
    assert record["ordinary"] is True
    assert "values" not in record
    assert not (pack.folder.parents[1] / "surveys").exists()


@pytest.mark.parametrize("kind", [lungs, labels])
def test_a_pack_that_an_earlier_version_built_of_deep_images_is_not_used(
    tmp_path: Path, kind
) -> None:
    source = kind(tmp_path / "set")
    old = build_pack(source, settings(channels=1), values=EIGHT_BIT)
    assert not old.record.ordinary
    new = build_pack(source, settings())
    assert new.folder != old.folder
    assert not new.values.is_8_bit


def test_a_pack_that_an_earlier_version_built_of_ordinary_images_is(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set", *[Image.linear_gradient("L")] * 3)
    old = build_pack(source, settings(channels=1), values=EIGHT_BIT)
    new = build_pack(source, settings())
    assert new.folder == old.folder
    record = store.read_record(new.folder)
    assert record is not None and record.ordinary, "and is not checked again"


@pytest.mark.parametrize("cut", [1, 5])
def test_an_interrupted_deep_build_resumes(tmp_path: Path, monkeypatch, cut: int) -> None:
    source = lungs(tmp_path / "set")

    class CutError(Exception):
        pass

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "reading images" and done >= cut:
            raise CutError

    with pytest.raises(CutError):
        build_pack(source, settings(), progress=progress)
    decoded: list[str] = []

    def count(path: Path, *args: object):
        decoded.append(path.name)
        return decode_image_file(path, *args)

    monkeypatch.setattr(folder_source, "decode_image_file", count)
    pack = build_pack(source, settings())
    assert 0 < len(decoded) < 12
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "other"))
    assert (pixels(build_pack(source, settings())) == pixels(pack)).all()


def test_without_a_cache_the_range_is_the_same(tmp_path: Path) -> None:
    source = lungs(tmp_path / "set")
    off = build_pack(source, settings(cache="off"))
    assert (off.values, off.record.stored) == (XRAY, False)
    assert off.digest == build_pack(source, settings()).digest


def test_a_mixture_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    images = [Image.linear_gradient("L")] * 5 + [deep(seed=i) for i in range(5)]
    source = make_set(tmp_path / "set", *images)
    with pytest.raises(DatasetError, match="without a common range"):
        build_pack(source, settings())
    pack = build_pack(source, settings(value_range=[0, 4095]))
    assert pack.values == ValueRange("uint16", (0.0,), (4095.0,))
