"""Folders as datasets: names, labels, decoding and fingerprint."""

import os
from pathlib import Path

import pytest

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.data.sources.registry import open_source
from tests.data.sources.folders import make_folder

SIZE = (16, 24)


def test_folder(tmp_path: Path) -> None:
    source = open_source(str(make_folder(tmp_path / "pets")), size=SIZE)
    assert isinstance(source, FolderSource)
    assert (source.name, source.classes, len(source)) == ("pets", ("cat", "dog"), 3)
    assert list(source.labels) == [0, 0, 1]
    assert [source.item_name(i) for i in range(3)] == ["cat/1.png", "cat/2.png", "dog/1.png"]
    colours = [source.image(i).open().image.getpixel((0, 0)) for i in range(3)]
    assert [red for red, _, _ in colours] == [0, 1, 2]
    files = [tmp_path / "pets" / source.item_name(i) for i in range(3)]
    assert source.stored_bytes() == sum(len(file.read_bytes()) for file in files)


def test_flat_folder_has_label_0_for_all(tmp_path: Path) -> None:
    make_folder(tmp_path)
    source = open_source(str(tmp_path / "cat"), size=SIZE)
    assert (source.classes, list(source.labels)) == ((), [0, 0])


def test_a_file_that_broke_or_went_after_indexing(tmp_path: Path) -> None:
    source = open_source(str(make_folder(tmp_path / "pets")), size=SIZE)
    (tmp_path / "pets/cat/1.png").write_text("broken")
    (tmp_path / "pets/cat/2.png").unlink()
    with pytest.raises(UnreadableImageError, match="not an image"):
        source.image(0).open()
    with pytest.raises(UnreadableImageError, match="no such file"):
        source.image(1).open()


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "pets")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_source("~/pets", size=SIZE)) == 3


def test_a_folder_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    source = open_source("demo", size=SIZE)
    assert (source.name, len(source)) == ("demo", 3)
    assert isinstance(source, FolderSource)


def test_fingerprint_of_a_folder(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets")

    def now() -> str:
        return open_source(str(root), size=SIZE).fingerprint()

    seen = [now()]
    assert now() == seen[0]
    assert len(seen[0]) == 64
    file = root / "cat" / "1.png"
    os.utime(file, ns=(1, 1))
    assert now() == seen[0], "what counts is the content"
    with file.open("ab") as handle:
        handle.write(b"x")
    os.utime(file, ns=(1, 1))
    seen.append(now())
    file.rename(root / "cat" / "0.png")
    seen.append(now())
    (root / "dog" / "1.png").unlink()
    (root / "cat" / "2.png").unlink()
    seen.append(now())
    assert len(set(seen)) == len(seen)
