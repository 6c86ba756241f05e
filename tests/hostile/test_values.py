"""Sets of odd values: each is trained over a sound range, or refused with what to set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from tests.data.conftest import cache_dir  # noqa: F401 (a fixture)
from tests.data.packs.test_auto_channels import InProcess
from tests.hostile.conftest import check_refusal

RANDOM = np.random.default_rng(0)
SIZE = (6, 6)


def spread(low: float, high: float, dtype: str, bands: int = 1) -> list[np.ndarray]:
    values = RANDOM.uniform(low, high, (4, *SIZE, bands))
    return [*(np.rint(values) if np.dtype(dtype).kind != "f" else values).astype(dtype)]


def with_values(image: np.ndarray, *values: float) -> np.ndarray:
    image = image.copy()
    image.reshape(-1)[: len(values)] = values
    return image


PHOTO = Image.linear_gradient("L").resize(SIZE)
FLOATS = spread(-1, 2, "float32")

TRAINED = {
    "narrow": spread(300, 3300, "uint16"),
    "darkest of 16 bits": spread(0, 255, "uint16"),
    "one value": [np.full((*SIZE, 1), 300, np.uint16)] * 3,
    "zeros": [np.zeros((*SIZE, 1), np.float32)] * 3,
    "all missing": [np.full((*SIZE, 1), np.nan, np.float32)] * 3,
    "some missing": [with_values(image, np.nan, np.inf, -np.inf) for image in FLOATS],
    "one wholly missing": [*FLOATS, np.full((*SIZE, 1), np.nan, np.float32)],
    "no data": [with_values(image, -9999, -3.4028235e38) for image in FLOATS],
    "padded scans": [with_values(i, -32768) for i in spread(-1024, 3000, "int16")],
    "hot pixel": [with_values(spread(300, 3300, "uint16")[0], 65_535), *spread(9, 999, "uint16")],
    "widest integers": spread(-(2**31), 2**31 - 1, "int32"),
    "widest unsigned": spread(0, 2**32 - 1, "uint32"),
    "tiny": spread(0, 1e-300, "float64"),
    "large": spread(-1e29, 1e29, "float64"),
    "far from zero": spread(1e9, 1e9 + 3, "float64"),
    "a constant band": [np.concatenate([i, i * 0 + 7], axis=2) for i in spread(0, 9, "uint16")],
    "16 bands": spread(0, 10_000, "uint16", 16),
    "two bands of 8 bits": spread(0, 255, "uint8", 2),
    "bands of different counts": [*spread(0, 9, "uint16", 4), spread(0, 9, "uint16", 3)[0]],
    "labels": [Image.new("L", SIZE, label) for label in (0, 1, 2, 2)],
    "labels and void": [Image.new("L", SIZE, label) for label in (0, 5, 255)],
    "masks": [Image.new("L", SIZE, label) for label in (0, 255)],
    "truth values": [image > 0 for image in FLOATS],
    "8 bits in 16": [image * 257 for image in spread(0, 255, "uint16")],
    "signed and unsigned": [*spread(-9, 9, "int16"), *spread(0, 60_000, "uint16")],
}

REFUSED = {
    "8 and 12 bits": [*[Image.linear_gradient("L").resize(SIZE)] * 4, *spread(300, 3300, "uint16")],
    "8 bits and floats": [
        *[Image.linear_gradient("L").resize(SIZE)] * 4,
        *spread(-5, 5, "float32"),
    ],
    "heights and shares": [*spread(0, 1, "float32"), *spread(0, 4000, "int16")],
}


def make_set(root: Path, images: list) -> FolderSource:
    root.mkdir()
    for i, image in enumerate(images):
        if isinstance(image, Image.Image):
            image.save(root / f"{i}.png")
        else:
            np.save(root / f"{i}.npy", image)
    return FolderSource(root)


@pytest.fixture(autouse=True)
def in_process(monkeypatch, cache_dir):  # noqa: F811 (the fixture)
    for module in ("packs.builder", "packs.value_watch", "values.survey"):
        monkeypatch.setattr(f"iddm_cli.data.{module}.WorkerPool", InProcess)


def pack_of(source: FolderSource, **values):
    return build_pack(source, DataSettings(image_size=6, workers=1, held_out=0, **values))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", TRAINED)
def test_odd_values_have_a_sound_range(tmp_path, name):
    pack = pack_of(make_set(tmp_path / "set", TRAINED[name]))
    low, high = np.array(pack.values.low), np.array(pack.values.high)
    assert np.isfinite([low, high]).all() and (low < high).all()
    assert len(low) in (1, pack.channels)
    levels = np.fromfile(pack.images_path, pack.values.level_dtype)
    levels = levels.reshape(pack.count, pack.channels, 6, 6).transpose(0, 2, 3, 1)
    values = pack.values.to_values(levels)
    assert (values >= low).all() and (values <= high).all()
    for note in pack.value_notes:
        assert note.isprintable() and len(note) < 300


@pytest.mark.parametrize("name", REFUSED)
def test_mixtures_are_refused_and_a_range_makes_them_trainable(tmp_path, name):
    source = make_set(tmp_path / "set", REFUSED[name])
    with pytest.raises(DatasetError) as refused:
        pack_of(source)
    check_refusal(refused.value, code=3, begins="the images are of types without a common range")
    assert "data.value_range" in refused.value.hint
    assert pack_of(source, value_range=[-10, 4000]).count == len(REFUSED[name])


@pytest.mark.parametrize("bounds", [[1e6, 2e6], [-2.0, -1.0], [0, 1e-12], [-1e30, 1e30]])
def test_any_range_that_is_set_is_used(tmp_path, bounds):
    pack = pack_of(make_set(tmp_path / "set", spread(300, 3300, "uint16")), value_range=bounds)
    assert (pack.values.low, pack.values.high) == ((bounds[0],), (bounds[1],))
    levels = np.fromfile(pack.images_path, "<u2")
    assert pack.values.to_values(levels).dtype == np.uint16


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9, 16])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 13])
def test_any_number_of_channels_is_trained_or_refused(tmp_path, bands, channels):
    source = make_set(tmp_path / "set", spread(0, 9999, "uint16", bands))
    if bands >= channels or (bands, channels) == (1, 3):
        assert pack_of(source, channels=channels).channels == channels
        return
    with pytest.raises(DatasetError) as refused:
        pack_of(source, channels=channels)
    check_refusal(refused.value, code=3)
    assert "data.channels" in refused.value.hint
