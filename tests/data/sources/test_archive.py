"""Archives as datasets: equal to the folder that they contain."""

import shutil
import tarfile
from pathlib import Path

import pytest

from iddm_cli.data.decoding import images
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources import fingerprint
from iddm_cli.data.sources.archive import ArchiveSource
from iddm_cli.data.sources.archive_reader import (
    has_archive_suffix,
    read_archive,
)
from iddm_cli.data.sources.indexing.index import index_folder
from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions
from iddm_cli.data.sources.registry import open_source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from tests.data.sources.archives import (
    FILES,
    KINDS,
    SETTINGS,
    make,
    opened,
    pixels,
    png,
    skipped,
    state,
    write,
)

# --- the same dataset, however it is packed -------------------------------------------------------


@pytest.mark.parametrize("wrapper", ["", "pets-1.0/"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_what_its_folder_is(tmp_path: Path, kind: str, wrapper: str) -> None:
    files = {
        **FILES,
        "README.md": b"no image",
        "cat/scan": png(7),
        "dog/empty.png": b"",
        "dog/torn.png": png(8, (40, 40))[:900],
        "Zürich/猫.png": png(9),
    }
    folder = build_pack(open_source(str(write(tmp_path / "pets", files)), size=(4, 6)), SETTINGS)
    place = make(tmp_path / "in" / f"pets.{kind}", {wrapper + name: files[name] for name in files})
    before = state(tmp_path / "in")
    made = build_pack(opened(place), SETTINGS)
    assert state(tmp_path / "in") == before, "nothing is written beside it"
    assert made.folder != folder.folder
    assert made.classes == folder.classes == ("Zürich", "cat", "dog")
    assert made.labels.tolist() == folder.labels.tolist()
    assert made.names == [wrapper + name for name in folder.names]
    assert pixels(made) == pixels(folder)
    assert (made.record.pixels, made.digest) == (folder.record.pixels, folder.digest)
    assert [name for name, _ in made.unreadable] == [
        wrapper + name for name, _ in folder.unreadable
    ]
    assert dict(made.unreadable)[f"{wrapper}dog/empty.png"] == "the file is empty"
    assert dict(made.skipped_entries)[f"{wrapper}README.md"] == "not an image: .md (text)"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_folders_without_an_image_are_told_as_in_a_folder(tmp_path: Path, kind: str) -> None:
    files = {**FILES, "bird/notes.txt": b"none yet"}
    (write(tmp_path / "pets", files) / "fish").mkdir()
    place = tmp_path / f"pets.{kind}"
    if kind == "zip":
        shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "pets")
    else:
        with tarfile.open(place, "w:gz" if kind == "tar.gz" else "w") as archive:
            archive.add(tmp_path / "pets", ".")
    found, expected = read_archive(place).index, index_folder(tmp_path / "pets")
    assert (found.paths, found.labels, found.classes) == (
        (expected.paths, expected.labels, expected.classes)
    )
    assert found.skipped == expected.skipped
    assert ("fish", "no image in this folder") in found.skipped


@pytest.mark.parametrize("wrapper", ["", "pets/"])
@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_of_a_split_in_an_archive_the_training_part_is_used(
    tmp_path: Path, kind: str, wrapper: str
) -> None:
    names = [f"{wrapper}{part}/{name}" for part in ("train", "val") for name in FILES]
    source = opened(make(tmp_path / f"pets.{kind}", {name: png(1) for name in names}))
    assert list(source.paths) == [f"{wrapper}train/{name}" for name in FILES]
    assert source.classes == ("cat", "dog")
    assert {name for name, _ in source.skipped} == set(names) - set(source.paths)
    entered = ["pets is entered, as the only folder of images"] if wrapper else []
    split = "a split: only train is used; images left out: val (3)"
    assert source.notes[:-1] == [*entered, split]
    assert source.stored_bytes() == sum(source.image(i).stored_size for i in range(len(source)))


@pytest.mark.parametrize("kind", ["deflated.zip", "lzma.zip", "tar", "tar.bz2"])
@pytest.mark.parametrize("wrapper", ["", "pets/"])
def test_a_table_of_labels_in_an_archive(tmp_path: Path, kind: str, wrapper: str) -> None:
    table = b"file_name,label,kind\na/1.png,10,x\na/2.png,9,y\n"
    files = {"metadata.csv": table, "a/1.png": png(1), "a/2.png": png(2), "a/3.png": png(3)}
    place = make(tmp_path / f"set.{kind}", {wrapper + name: files[name] for name in files})
    index = read_archive(place).index
    assert (index.layout, index.classes, index.labels) == ("labels", ("9", "10"), (1, 0))
    assert index.skipped == [(f"{wrapper}a/3.png", f"not in {wrapper}metadata.csv")]
    assert read_archive(place, LabelOptions("kind")).index.classes == ("x", "y")
    with pytest.raises(DatasetError, match="has no column kin"):
        read_archive(place, LabelOptions("kin"))


def test_a_table_that_is_empty_or_damaged(tmp_path: Path) -> None:
    for kind in ("zip", "tar"):
        place = make(tmp_path / f"empty.{kind}", {**FILES, "metadata.csv": b""})
        assert read_archive(place).index.classes == ("cat", "dog")
        assert skipped(place) == {"metadata.csv": "not a table of labels: it has no rows"}
    table = b"file_name,label\ncat/1.png,a\n"
    place = make(tmp_path / "bad.zip", {**FILES, "metadata.csv": table})
    place.write_bytes(place.read_bytes().replace(b"1.png,a", b"1.png,b"))
    message = r"metadata\.csv cannot be read: damaged in the archive: its checksum is wrong"
    with pytest.raises(DatasetError, match=message):
        read_archive(place)


def test_workers_read_every_kind(tmp_path: Path) -> None:
    """Members cross to other processes, and are read in any order, again and again."""
    files = {f"{i % 2}/{i:03d}.png": png(i) for i in range(80)}
    settings = DataSettings(**{**SETTINGS.model_dump(), "workers": 2})
    digests = {
        build_pack(opened(make(tmp_path / f"a.{kind}", files)), settings).digest
        for kind in ("deflated.zip", "tar", "tar.gz")
    }
    assert len(digests) == 1


# --- in general -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *((f"a.{kind}", True) for kind in KINDS),
        ("A.ZIP", True),
        ("a.Tar.Gz", True),
        ("a.rar", False),
        ("a.gz", False),
        ("zip", False),
    ],
)
def test_archives_are_known_by_their_names(name: str, known: bool) -> None:
    assert has_archive_suffix(Path(name)) == known


def test_an_archive_is_digested_however_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an image may have does not bound an archive: two of one size are two datasets."""
    for module in (images, fingerprint):
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 100, raising=False)
    digests = set()
    for shade in (b"a", b"b"):
        place = make(tmp_path / shade.decode() / "a.zip", {"x.pgm": b"P5 1 1 255 " + shade})
        assert place.stat().st_size > 100
        digests.add(opened(place).fingerprint())
    assert len(digests) == 2


def test_a_folder_called_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "pets.zip", FILES)), size=(4, 6))
    assert not isinstance(source, ArchiveSource)
    assert source.classes == ("cat", "dog")


def test_many_members(tmp_path: Path) -> None:
    files = {f"{i % 10}/{i:05d}.png": b"" for i in range(3000)}
    for kind in ("zip", "tar"):
        index = read_archive(make(tmp_path / f"a.{kind}", files)).index
        assert index.paths == tuple(sorted(files))
        assert index.labels == tuple(int(path[0]) for path in index.paths)
