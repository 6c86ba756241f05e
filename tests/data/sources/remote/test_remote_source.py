"""Remote datasets: the same images as from the local files, whatever the server does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_source
from iddm_cli.data.sources.remote.remote_source import is_remote, open_remote
from iddm_cli.data.sources.remote.retries import RetryPolicy
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from tests.data.sources.remote.web_server import serve
from tests.data.sources.shards.specimens import write_parquet, write_tars

fsspec = pytest.importorskip("fsspec", reason="the extra remote is not installed")
pytest.importorskip("aiohttp", reason="the extra remote is not installed")

AT_ONCE = RetryPolicy(tries=60, first_delay=0, longest_delay=0, silence=0.3)
OPTIONS = SourceOptions((8, 8))
SETTINGS = DataSettings(image_size=8, workers=1, held_out=0)


@pytest.fixture
def memory() -> Iterator[object]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.mark.parametrize(
    ("path", "expected"),
    [("s3://b/x", True), ("https://a.b/c.tar", True), ("photos", False), ("C://x", False)],
)
def test_urls(path: str, expected: bool) -> None:
    assert is_remote(path) is expected


def test_a_folder_a_pattern_and_an_archive(tmp_path: Path, memory) -> None:
    memory.put(str(write_tars(tmp_path / "tars")), "/bucket", recursive=True)
    memory.pipe("/bucket/classes.txt", b"cat\ndog\neel\n")
    local = build_pack(open_source(str(tmp_path / "tars"), size=(8, 8)), SETTINGS)
    for url in ("memory://bucket", "memory://bucket/{000..002}.tar", "memory://bucket/0*.tar"):
        source = open_source(url, size=(8, 8))
        assert (source.location, len(source)) == (url, 12)
        assert build_pack(source, SETTINGS).digest == local.digest
    archive = open_source("memory://bucket/001.tar", size=(8, 8))
    assert (archive.name, archive.location, len(archive)) == (
        *("001.tar", "memory://bucket/001.tar"),
        5,
    )


def test_parquet_with_a_split(tmp_path: Path, memory) -> None:
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    for name, numbers in (("train", range(6)), ("test", range(3))):
        path = write_parquet(tmp_path / f"{name}-0.parquet", numbers)
        memory.pipe(f"/hub/data/{name}-0.parquet", path.read_bytes())
    memory.pipe("/hub/README.md", b"text")
    source = open_source("memory://hub", size=(8, 8))
    assert (len(source), source.item_name(0)) == (6, "data/train-0.parquet/0")
    assert source.held_out is not None and len(source.held_out.source) == 3


def test_packing_survives_a_bad_server(tmp_path: Path) -> None:
    tars = write_tars(tmp_path / "tars")
    files = {f"/set/{path.name}": path.read_bytes() for path in tars.glob("*.tar")}
    local = build_pack(open_source(str(tars), size=(8, 8)), SETTINGS)
    faults = ["503", "503", "", "503", "stall", "", "", "cut", "stall", "503", "cut", "", "cut"]
    with serve(files, faults) as server:
        source = open_remote(f"{server.url}/set/{{000..002}}.tar", OPTIONS, AT_ONCE)
        assert build_pack(source, SETTINGS).digest == local.digest
        assert not server.faults


def test_errors_name_the_url(memory) -> None:
    memory.pipe("/bucket/notes.txt", b"text")
    cases = {
        "memory://bucket": "holds neither tar shards nor Parquet",
        "memory://nothing": "memory://nothing",
        "memory://bucket/{0..1}.tar": r"memory://bucket/[01]\.tar cannot be read: it does not",
        "memory://bucket/x*.tar": "no file has such a name",
        "memory://bucket/x.zip": r"memory://bucket/x\.zip cannot be read: it does not exist",
    }
    for url, message in cases.items():
        with pytest.raises(DatasetError, match=message):
            open_source(url, size=(8, 8))
