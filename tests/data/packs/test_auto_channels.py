"""`channels: auto`: one pass decodes each image once, and builds the pack of its own channels."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.data.decoding.workers import WorkerPool
from iddm_cli.data.packs import builder
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources import folder as folder_source
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

EXACT, NEAR, COLOUR, BROKEN = "exact", "near", "colour", "broken"
SETS = {
    "grey": [EXACT] * 20,
    "nearly grey": [EXACT] * 7 + [NEAR] + [EXACT] * 5 + [NEAR] * 3 + [BROKEN, EXACT],
    "colour first": [COLOUR] + [EXACT] * 12,
    "colour last": [EXACT] * 11 + [BROKEN] + [COLOUR],
    "colour after nearly grey": [BROKEN] + [EXACT] * 5 + [NEAR] * 6 + [COLOUR, NEAR, EXACT],
}
CHANNELS = {name: 3 if COLOUR in kinds else 1 for name, kinds in SETS.items()}


class InProcess(WorkerPool):
    """Works in this process, in chunks of 4."""

    def map_ordered(self, work, items, *, chunk):
        items = list(items)
        for start in range(0, len(items), 4):
            yield [work(item) for item in items[start : start + 4]]


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was decoded."""
    counts: Counter[str] = Counter()
    decode = folder_source.decode_image_file

    def count(path: Path, *args: object):
        counts[path.name] += 1
        return decode(path, *args)

    monkeypatch.setattr(folder_source, "decode_image_file", count)
    monkeypatch.setattr(builder, "WorkerPool", InProcess)
    return counts


def make_set(root: Path, kinds: list[str]) -> FolderSource:
    root.mkdir()
    for i, kind in enumerate(kinds):
        path = root / f"{i:03d}.png"
        if kind == BROKEN:
            path.write_text("broken")
            continue
        image = Image.linear_gradient("L").rotate(10 * i).resize((20, 13 + i)).convert("RGB")
        red, green, blue = image.split()
        if kind == NEAR:
            blue = blue.point(lambda level: level - level % 3)
        if kind == COLOUR:
            blue = blue.point(lambda level: 255 - level)
        Image.merge("RGB", (red, green, blue)).save(path)
    return FolderSource(root)


def settings(channels: int | str, **values: object) -> DataSettings:
    return DataSettings(
        **{"image_size": [8, 12], "workers": 1, "held_out": 0, "channels": channels, **values}
    )


def content(pack: Pack) -> tuple[object, ...]:
    pixels = pack.images_path.read_bytes() if pack.images_path.exists() else None
    record = json.loads((pack.folder / "pack.json").read_text())
    return pack.folder.name, pixels, record, pack.digest, pack.names, pack.labels.tolist()


def built_alone(source: FolderSource, monkeypatch: pytest.MonkeyPatch, *args, **values) -> Pack:
    """The pack of this many channels, in a cache of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("IDDM_CACHE_DIR", str(Path(source.location).parent / "other-cache"))
        return build_pack(source, settings(*args, **values))


@pytest.mark.parametrize("cache", ["disk", "off"])
@pytest.mark.parametrize("name", SETS)
def test_each_image_is_decoded_once_and_the_pack_is_the_same(
    tmp_path: Path,
    cache_dir: Path,
    decoded: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    cache: str,
) -> None:
    source = make_set(tmp_path / "set", SETS[name])
    auto = build_pack(source, settings("auto", cache=cache))
    assert decoded == {f"{i:03d}.png": 1 for i in range(len(SETS[name]))}
    assert auto.channels == CHANNELS[name]
    assert content(auto) == content(built_alone(source, monkeypatch, CHANNELS[name], cache=cache))
    folders = [path.name for path in (cache_dir / "packs").iterdir() if path.is_dir()]
    assert folders == [auto.folder.name]


class CutError(Exception):
    """Stands for whatever ends a process."""


def cut_at(count: int) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "reading images" and done >= count:
            raise CutError

    return progress


@pytest.mark.parametrize("cache", ["disk", "off"])
@pytest.mark.parametrize("count", [4, 8, 12])
@pytest.mark.parametrize("name", SETS)
def test_an_interrupted_build_resumes(
    tmp_path: Path,
    decoded: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    count: int,
    cache: str,
) -> None:
    source = make_set(tmp_path / "set", SETS[name])
    with pytest.raises(CutError):
        build_pack(source, settings("auto", cache=cache), progress=cut_at(count))
    auto = build_pack(source, settings("auto", cache=cache))
    assert set(decoded.values()) == {1}, "what was decoded before the interruption is kept"
    assert content(auto) == content(built_alone(source, monkeypatch, CHANNELS[name], cache=cache))


@pytest.mark.parametrize("damaged", ["grey", "colour"])
@pytest.mark.parametrize("name", ["nearly grey", "colour after nearly grey"])
def test_damage_to_an_interrupted_build_costs_only_time(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, damaged: str
) -> None:
    source = make_set(tmp_path / "set", SETS[name])
    with pytest.raises(CutError):
        build_pack(source, settings("auto"), progress=cut_at(10))
    (partial,) = (path for path in (cache_dir / "packs").iterdir() if path.is_dir())
    with (partial / damaged / "images.u8").open("r+b") as handle:
        handle.write(b"\7" * 8)
    auto = build_pack(source, settings("auto"))
    assert content(auto) == content(built_alone(source, monkeypatch, CHANNELS[name]))


@pytest.mark.parametrize("name", ["colour last", "colour after nearly grey"])
def test_a_disk_with_room_for_grey_alone(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = make_set(tmp_path / "set", SETS[name])
    cache_dir.mkdir()
    room = 2 * len(SETS[name]) * 8 * 12
    usage = shutil.disk_usage(cache_dir)._replace(free=room)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match="the pack needs"):
        build_pack(source, settings("auto", cache="disk"))
    assert [path for path in (cache_dir / "packs").iterdir() if path.is_dir()] == []
    auto = build_pack(source, settings("auto", cache="auto"))
    assert (auto.channels, auto.record.stored) == (3, False)
    assert auto.digest == built_alone(source, monkeypatch, 3, cache="off").digest


def test_a_grey_set_needs_no_more_room_than_its_pack(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_set(tmp_path / "set", SETS["nearly grey"])
    cache_dir.mkdir()
    usage = shutil.disk_usage(cache_dir)._replace(free=2 * len(SETS["nearly grey"]) * 8 * 12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert build_pack(source, settings("auto", cache="disk")).record.stored


def test_an_unreadable_image_may_be_fatal(tmp_path: Path, cache_dir: Path) -> None:
    source = make_set(tmp_path / "set", SETS["nearly grey"])
    with pytest.raises(DatasetError, match=r"016\.png cannot be decoded"):
        build_pack(source, settings("auto", on_error="fail"))
    assert [path for path in (cache_dir / "packs").iterdir() if path.is_dir()] == []
