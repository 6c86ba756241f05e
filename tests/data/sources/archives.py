"""Archives of small images, for the tests of archives."""

import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.archive import ArchiveSource
from iddm_cli.data.sources.archive_reader import (
    read_archive,
)
from iddm_cli.data.sources.registry import open_source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

SETTINGS = DataSettings(image_size=[4, 6], channels=3, workers=1, held_out=0)
KINDS = ("zip", "deflated.zip", "bz2.zip", "lzma.zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz")
COMPRESSED = ("tar.gz", "tar.bz2", "tar.xz")
METHODS = {
    "zip": zipfile.ZIP_STORED,
    "deflated.zip": zipfile.ZIP_DEFLATED,
    "bz2.zip": zipfile.ZIP_BZIP2,
    "lzma.zip": zipfile.ZIP_LZMA,
}


def png(shade: int, size: tuple[int, int] = (3, 2)) -> bytes:
    content = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(content, "png")
    return content.getvalue()


FILES = {name: png(i) for i, name in enumerate(("cat/1.png", "cat/2.png", "dog/x/1.png"))}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def make(place: Path, files: dict[str, bytes]) -> Path:
    """Write an archive; its kind is that of its name."""
    kind = place.name.split(".", 1)[1]
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind in METHODS:
        with zipfile.ZipFile(place, "w", METHODS[kind]) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return place
    pressed = {"tar": "", "tgz": "gz"}.get(kind, kind.removeprefix("tar."))
    with tarfile.open(place, f"w:{pressed}") as archive:
        for name, content in files.items():
            add(archive, name, content)
    return place


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **values: object) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for key, value in values.items():
        setattr(entry, key, value)
    archive.addfile(entry, io.BytesIO(content))


def pixels(made: Pack) -> bytes:
    return made.images_path.read_bytes()


def opened(place: Path) -> ArchiveSource:
    source = open_source(str(place), size=(4, 6))
    assert isinstance(source, ArchiveSource)
    return source


def skipped(place: Path) -> dict[str, str]:
    told = read_archive(place).index.skipped
    assert len(set(told)) == len(told), "each is told once"
    return dict(told)


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file): (file.stat().st_mtime_ns, file.read_bytes() if file.is_file() else b"")
        for file in [folder, *folder.rglob("*")]
    }


def copies(cache_dir: Path) -> list[str]:
    folder = cache_dir / "archives"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def memory_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(place: Path) -> None:
    with pytest.raises(DatasetError):
        read_archive(place)
