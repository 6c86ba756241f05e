"""A hostile dataset: what becomes of each file, and that nothing happens to any."""

import hashlib
import os
import re
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from iddm_cli.data.decoding.images import decode_image_file
from iddm_cli.data.decoding.resize import reduce_to_8_bits, to_pixels
from iddm_cli.data.inspection.scan import scan
from iddm_cli.data.inspection.summary import summarize
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.indexing.index import to_printable
from iddm_cli.data.sources.registry import open_source
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from tests.data.conftest import cache_dir  # noqa: F401 (a fixture)
from tests.hostile.zoo import Zoo, colours, create_zoo, formats, shapes
from tests.hostile.zoo.layouts import create_split, create_thousand_classes
from tests.hostile.zoo.places import locked

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest puts its own filters first

SETTINGS = DataSettings(image_size=8, channels=3, workers=2, held_out=0)
MEGABYTE = 1_000_000

# What commands a terminal, ends a line, or turns around the text that follows it.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

PACK = """
import sys
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_source
from iddm_cli.profiles.settings import DataSettings
build_pack(open_source(sys.argv[1], size=(8, 8)), DataSettings(image_size=8, workers=2))
"""
# A process starts with its parent's peak, which here is pytest's; so a small one lies between. It
# adopts (prctl 36) what the first leaves behind, so that all are waited for and thus counted.
MEASURE = """
import ctypes, os, resource, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
try:
    while True:
        os.wait()
except ChildProcessError:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    zoo = create_zoo(tmp_path_factory.mktemp("zoo"))
    yield zoo
    for path in locked(zoo):
        path.chmod(0o700)


@pytest.fixture(scope="module")
def opened(zoo: Zoo) -> Source:
    return source_of(zoo.root)


@pytest.fixture(scope="module")
def packed(opened: Source, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDDM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return build_pack(opened, SETTINGS)


def source_of(folder: Path) -> Source:
    return open_source(str(folder), size=(8, 8))


def names_of(made: Pack) -> list[str]:
    return list(made.names)


def list_skipped(source: Source, made: Pack) -> list[tuple[str, str]]:
    """All that was passed over, by its name or when it was opened."""
    return sorted({(name, reason) for name, reason in [*source.skipped, *made.unreadable]})


def each_class(made: Pack) -> dict[str, int]:
    counts = Counter(int(label) for label in made.labels)
    return {name: counts[label] for label, name in enumerate(made.classes)}


# --- what becomes of each file ---------------------------------------------------------------


def test_what_is_used_is_what_should_be(zoo: Zoo, packed: Pack) -> None:
    assert Counter(names_of(packed)) == Counter(map(to_printable, zoo.used))
    assert packed.count == len(zoo.used)
    assert packed.images_path.stat().st_size == len(zoo.used) * 3 * 8 * 8


def test_all_else_is_reported_once(zoo: Zoo, opened: Source, packed: Pack) -> None:
    names = (name for name, _ in list_skipped(opened, packed))
    assert Counter(names) == Counter(map(to_printable, zoo.skipped))


def test_reasons_are_the_true_ones(zoo: Zoo, opened: Source, packed: Pack) -> None:
    patterns = {to_printable(name): pattern for name, pattern in zoo.skipped.items()}
    given = {name: reason for name, reason in list_skipped(opened, packed) if name in patterns}
    wrong = {name for name, reason in given.items() if not re.search(patterns[name], reason)}
    assert {name: (given[name], patterns[name]) for name in wrong} == {}


def test_inspecting_says_the_same(zoo: Zoo, opened: Source, packed: Pack) -> None:
    found = summarize(scan(opened, DataSettings()))
    assert found.count == len(zoo.used)
    assert sorted({*found.skipped, *found.unreadable}) == list_skipped(opened, packed)
    assert found.classes == each_class(packed)


def test_classes_are_the_outermost_folders(zoo: Zoo, packed: Pack) -> None:
    expected = {to_printable(name): count for name, count in zoo.classes().items()}
    assert each_class(packed) == expected
    assert list(packed.classes) == sorted(expected, key=str.encode)
    assert {"-1", "--help", "..x", "null", "01", "Cat", "[bold]", "caf\u00e9"} <= {*expected}


def test_each_image_has_the_class_of_its_folder(packed: Pack) -> None:
    classes = [packed.classes[int(label)] for label in packed.labels]
    assert classes == [name.split("/")[0] for name in names_of(packed)]


def test_nothing_that_is_printed_commands_the_terminal(opened: Source, packed: Pack) -> None:
    printed = [*names_of(packed), *packed.classes, *sum(list_skipped(opened, packed), ())]
    assert [words for words in printed if CONTROLS.search(words)] == []


def test_one_error_names_one_file_where_errors_are_fatal(zoo: Zoo, opened: Source) -> None:
    settings = DataSettings(**{**SETTINGS.model_dump(), "on_error": "fail"})
    with pytest.raises(DatasetError) as caught:
        build_pack(opened, settings)
    named = [name for name in map(to_printable, zoo.skipped) if name in str(caught.value)]
    assert len(named) == 1
    assert not CONTROLS.search(str(caught.value))


# --- colours ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """The images whose colours are known."""
    base = tmp_path_factory.mktemp("shown")
    zoo = Zoo(root=base / "zoo", outside=base / "outside")
    for family in (*colours.FAMILIES, *shapes.FAMILIES, formats.photos):
        family(zoo)
    return zoo


def test_colours_are_those_worked_out_by_hand(shown: Zoo) -> None:
    wrong = {}
    known = {name: grid for name, grid in shown.used.items() if grid}
    for name, grid in known.items():
        pixels = seen(shown.root / name, grid)
        if abs(pixels - grid).max() > shown.near[name]:
            wrong[name] = (pixels.tolist(), grid)
    assert wrong == {}


def seen(path: Path, grid: list) -> np.ndarray:
    """The colours in the middle of each square."""
    image = reduce_to_8_bits(decode_image_file(path))
    size = (image.height, image.width)
    pixels = to_pixels(image, size=size, channels=3, aspect="crop", background="white")
    side = image.height // len(grid)
    assert size == (side * len(grid), side * len(grid[0]))
    return pixels[side // 2 :: side, side // 2 :: side].astype(int)


# --- nothing is written, opened or filled that should not be ---------------------------------


def snapshot(base: Path) -> dict[str, tuple]:
    """All that a folder holds, and all that is known of it, but for when it was last read."""
    found = {}
    for folder, folders, files in os.walk(base):
        for name in (".", *folders, *files):
            path = Path(folder, name)
            facts = path.lstat()
            times = (facts.st_mtime_ns, facts.st_ctime_ns)
            found[str(path)] = (facts.st_mode, facts.st_size, *times, content(path, facts))
    return found


def content(path: Path, facts: os.stat_result) -> str:
    """Where a link leads, or a digest of a file's bytes, unless most of them are holes."""
    if path.is_symlink():
        return str(path.readlink())
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > 2**30 or not os.access(path, os.R_OK):
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_folder_is_left_exactly_as_it_was(zoo: Zoo) -> None:
    base = zoo.root.parents[1]
    before = snapshot(base)
    source = source_of(zoo.root)
    build_pack(source, SETTINGS)
    scan(source, DataSettings())
    assert snapshot(base) == before
    assert len(before) > len(zoo.used)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("folder", ["special", "bombs"])
def test_none_of_these_makes_it_wait(zoo: Zoo, folder: str) -> None:
    made = build_pack(source_of(zoo.root / folder), SETTINGS)
    assert names_of(made) == ["sound.png"]


def peak(folder: Path) -> int:
    """The most memory, in bytes, that any process has while this folder is packed anew."""
    words = [sys.executable, "-c", MEASURE, "-c", PACK, str(folder)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of processes")
def test_bombs_do_not_fill_the_memory(zoo: Zoo, tmp_path: Path) -> None:
    small = create_split(tmp_path / "small") / "val" / "cat"
    assert peak(zoo.root / "bombs") - peak(small) < 50 * MEGABYTE


def test_the_zoo_is_small(zoo: Zoo) -> None:
    blocks = sum(path.lstat().st_blocks for path in zoo.root.rglob("*"))
    assert blocks * 512 < 30 * MEGABYTE


# --- layouts ---------------------------------------------------------------------------------


def test_a_thousand_classes(tmp_path: Path) -> None:
    names = create_thousand_classes(tmp_path / "thousand")
    made = build_pack(source_of(tmp_path / "thousand"), SETTINGS)
    assert list(made.classes) == names
    assert [int(label) for label in made.labels] == list(range(1000))


def test_of_a_split_the_training_part_is_used(tmp_path: Path) -> None:
    source = source_of(create_split(tmp_path / "split"))
    made = build_pack(source, SETTINGS)
    assert each_class(made) == {"cat": 2, "dog": 2}
    assert not [name for name in names_of(made) if name.startswith("val")]
    left_out = [(name, reason) for name, reason in source.skipped if name.startswith("val")]
    assert [("split" in reason) for _, reason in left_out] == [True]
