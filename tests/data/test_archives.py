"""Archives: the same dataset however it is packed, and no harm from hostile or damaged ones."""

import bz2
import gzip
import io
import os
import shutil
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding import images
from iddm_cli.data.decoding.images import MAX_FILE_BYTES, UnreadableImageError
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources import archive_members as members
from iddm_cli.data.sources import fingerprint
from iddm_cli.data.sources import untar as unpacking
from iddm_cli.data.sources.archive import ArchiveSource
from iddm_cli.data.sources.archive_reader import (
    LINK,
    NAMELESS,
    OUTSIDE,
    TWICE,
    has_archive_suffix,
    read_archive,
)
from iddm_cli.data.sources.indexing.index import index_folder
from iddm_cli.data.sources.indexing.listing import HIDDEN
from iddm_cli.data.sources.registry import open_source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

SETTINGS = DataSettings(image_size=[4, 6], channels=3, workers=1)
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


# --- the same dataset, however it is packed ---------------------------------------------------


@pytest.mark.parametrize("wrapper", ["", "pets-1.0/"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_what_its_folder_is(tmp_path: Path, kind: str, wrapper: str) -> None:
    files = {
        **FILES,
        "README.md": b"no picture",
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
    assert [name for name, _ in made.unreadable] == [wrapper + name for name, _ in folder.skipped]
    assert dict(made.unreadable)[f"{wrapper}dog/empty.png"] == "the file is empty"
    assert dict(made.passed_over)[f"{wrapper}README.md"] == "not a picture, by its suffix"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_folders_without_a_picture_are_told_as_in_a_folder(tmp_path: Path, kind: str) -> None:
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
    assert ("fish", "no picture in this folder") in found.skipped


@pytest.mark.parametrize("wrapper", ["", "pets/"])
@pytest.mark.parametrize("kind", ["zip", "tar.xz"])
def test_of_a_split_in_an_archive_the_training_part_is_learnt(
    tmp_path: Path, kind: str, wrapper: str
) -> None:
    names = [f"{wrapper}{part}/{name}" for part in ("train", "val") for name in FILES]
    source = opened(make(tmp_path / f"pets.{kind}", {name: png(1) for name in names}))
    assert list(source.paths) == [f"{wrapper}train/{name}" for name in FILES]
    assert source.classes == ("cat", "dog")
    assert {name for name, _ in source.skipped} == set(names) - set(source.paths)
    assert source.notes == ["a split: only train is learnt; val is left out"]
    assert source.stored_bytes() == sum(
        source._contents.members[path].stored for path in source.paths
    )


@pytest.mark.parametrize("kind", ["deflated.zip", "lzma.zip", "tar", "tar.bz2"])
@pytest.mark.parametrize("wrapper", ["", "pets/"])
def test_a_table_of_labels_in_an_archive(tmp_path: Path, kind: str, wrapper: str) -> None:
    table = b"file_name,label,kind\na/1.png,10,x\na/2.png,9,y\n"
    files = {"metadata.csv": table, "a/1.png": png(1), "a/2.png": png(2), "a/3.png": png(3)}
    place = make(tmp_path / f"set.{kind}", {wrapper + name: files[name] for name in files})
    index = read_archive(place).index
    assert (index.layout, index.classes, index.labels) == ("table", ("9", "10"), (1, 0))
    assert index.skipped == [(f"{wrapper}a/3.png", f"not in {wrapper}metadata.csv")]
    assert read_archive(place, "kind").index.classes == ("x", "y")
    with pytest.raises(DatasetError, match="has no column kin"):
        read_archive(place, "kin")


def test_a_table_that_is_empty_or_damaged(tmp_path: Path) -> None:
    for kind in ("zip", "tar"):
        place = make(tmp_path / f"empty.{kind}", {**FILES, "metadata.csv": b""})
        assert read_archive(place).index.classes == ("cat", "dog")
        assert skipped(place) == {"metadata.csv": "no table of labels: it has no rows"}
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


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_a_system_hid_is_told_once(tmp_path: Path, kind: str) -> None:
    litter = ["__MACOSX/cat/._1.png", "__MACOSX/cat/._2.png", "__MACOSX/._cat", "cat/.DS_Store"]
    litter += ["cat/.thumbs/1.png", "cat/.thumbs/2.png", "cat/Thumbs.db", ".git/x/y.png"]
    found = skipped(make(tmp_path / f"a.{kind}", {**FILES, **dict.fromkeys(litter, png(5))}))
    told = {"__MACOSX", "cat/.DS_Store", "cat/.thumbs", "cat/Thumbs.db", ".git"}
    assert found == dict.fromkeys(told, HIDDEN)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_elsewhere(tmp_path: Path, kind: str) -> None:
    names = [
        "./cat/1.png",
        "cat/./2.png",
        "/cat/3.png",
        "dog//1.png",
        "../up.png",
        "cat/../../x.png",
    ]
    names += ["/", "."] if kind == "tar" else []
    place = make(tmp_path / "a" / f"a.{kind}", dict.fromkeys(names, png(1)))
    (tmp_path / "up.png").write_bytes(png(2))
    source = opened(place)
    assert source.paths == ("cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png")
    assert source.classes == ("cat", "dog")
    assert skipped(place).items() >= {"../up.png": OUTSIDE, "cat/../../x.png": OUTSIDE}.items()
    if kind == "tar":
        assert skipped(place)["."] == NAMELESS
    assert build_pack(source, SETTINGS).count == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "cache", "up.png"]


def test_backslashes_are_separators_where_windows_wrote_them(tmp_path: Path) -> None:
    place = tmp_path / "a.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for name in ("cat\\", "cat\\1.png", "dog\\x\\2.png", "dog/x\\y.png"):
            entry = zipfile.ZipInfo(name)
            entry.create_system = 0
            archive.writestr(entry, b"" if name.endswith("\\") else png(1))
    assert opened(place).paths == ("cat/1.png", "dog/x/2.png", "dog/x\\y.png")
    for kind in ("tar", "zip"):
        unix = make(tmp_path / f"unix.{kind}", {"cat\\1.png": png(1), "2.png": png(2)})
        assert opened(unix).classes == ()


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_the_last_counts(tmp_path: Path, kind: str) -> None:
    """As if it had been unpacked; the label and the pixels are of the same member."""
    place = tmp_path / f"a.{kind}"
    names = ["cat/1.png", "dog/1.png", "cat/1.png", "./cat/1.png"]
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for i, name in enumerate(names):
                archive.writestr(name, png(i))
    else:
        with tarfile.open(place, "w") as archive:
            for i, name in enumerate(names):
                add(archive, name, png(i))
    source = opened(place)
    assert source.paths == ("cat/1.png", "dog/1.png")
    assert skipped(place) == {"cat/1.png": TWICE}
    right = Image.open(io.BytesIO(png(3)))
    assert source.image(0).open().image.tobytes() == right.tobytes()


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    place = tmp_path / "a.tar"
    with tarfile.open(place, "w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, os.fsdecode(b"caf\xe9/\x1b[31m.png"), png(1))
        add(archive, "tea/1.png", png(2))
    source = opened(place)
    assert source.classes == (r"caf\xe9", "tea")
    assert source.item_name(0) == r"caf\xe9/\x1b[31m.png"
    made = build_pack(source, SETTINGS)
    assert made.count == 2
    assert all(name.isprintable() for name in made.names)


@pytest.mark.parametrize(
    ("stored", "read"), [("猫".encode(), "猫"), (b"caf\x82", "café"), (b"\x93\xfa", "ô·")]
)
def test_names_of_a_zip_that_does_not_say_their_encoding(
    tmp_path: Path, stored: bytes, read: str
) -> None:
    """UTF-8 where it can be that, as macOS writes it; else the code page of the format."""
    place = make(tmp_path / "a.zip", {"x" * len(stored) + "/1.png": png(1), "zz/2.png": png(2)})
    place.write_bytes(place.read_bytes().replace(b"x" * len(stored) + b"/1", stored + b"/1"))
    source = opened(place)
    assert source.classes == tuple(sorted((read, "zz"), key=str.encode))
    assert build_pack(source, SETTINGS).count == 2


# --- members that are no plain files ----------------------------------------------------------


@pytest.mark.timeout(20)
def test_links_devices_and_sparse_files_of_a_tar(tmp_path: Path) -> None:
    place = tmp_path / "a.tar"
    with tarfile.open(place, "w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, "cat/1.png", png(1))
        add(archive, "cat/soft.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "cat/hard.png", type=tarfile.LNKTYPE, linkname="cat/1.png")
        add(archive, "cat/fifo.png", type=tarfile.FIFOTYPE)
        add(archive, "cat/zero.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        add(archive, "cat/disk.png", type=tarfile.BLKTYPE)
        add(archive, "cat/other.png", type=b"Q")
        holes = {"GNU.sparse.map": "0,5", "GNU.sparse.size": "900", "GNU.sparse.numblocks": "1"}
        entry = tarfile.TarInfo("cat/holes.png")
        entry.size, entry.pax_headers = 5, holes
        archive.fileobj.write(entry.tobuf(tarfile.PAX_FORMAT) + b"holes".ljust(512, b"\0"))
        archive.offset = archive.fileobj.tell()
        add(archive, "dog/1.png", png(2))
    odd = ("fifo", "zero", "disk", "other")
    assert skipped(place) == {
        "cat/soft.png": LINK,
        "cat/hard.png": LINK,
        "cat/holes.png": "a sparse file",
        **{f"cat/{name}.png": "not a regular file" for name in odd},
    }
    assert build_pack(opened(place), SETTINGS).count == 2


def test_links_of_a_zip(tmp_path: Path) -> None:
    place = make(tmp_path / "a.zip", FILES)
    with zipfile.ZipFile(place, "a") as archive:
        for name, kind in (("cat/soft.png", stat.S_IFLNK), ("cat/fifo.png", stat.S_IFIFO)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (kind | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
    assert skipped(place) == {"cat/soft.png": LINK, "cat/fifo.png": "not a regular file"}


def encrypt(place: Path, *names: str) -> None:
    """Set the flag of members, in their own headers and in the table of contents."""
    content = bytearray(place.read_bytes())
    for name in names:
        inner = content.find(name.encode()) - 30
        outer = content.rfind(name.encode()) - 46
        assert content[inner : inner + 4] == b"PK\3\4"
        assert content[outer : outer + 4] == b"PK\1\2"
        content[inner + 6] |= 1
        content[outer + 8] |= 1
    place.write_bytes(content)


def test_encrypted_members(tmp_path: Path) -> None:
    place = make(tmp_path / "a.zip", {**FILES, "metadata.csv": b"file_name,label\n"})
    encrypt(place, "cat/2.png", "metadata.csv")
    assert skipped(place) == {"cat/2.png": "encrypted", "metadata.csv": "encrypted"}
    encrypt(place, *FILES)
    with pytest.raises(DatasetError, match="are encrypted") as caught:
        read_archive(place)
    assert "password" in caught.value.hint


# --- bombs ------------------------------------------------------------------------------------


def bomb(place: Path, size: int, method: int, name: str = "cat/x.png") -> Path:
    make(place, FILES)
    with (
        zipfile.ZipFile(place, "a", method, compresslevel=1) as archive,
        archive.open(name, "w") as member,
    ):
        for _ in range(size // 2**20):
            member.write(bytes(2**20))
    return place


def lie(place: Path, name: str, size: int) -> None:
    """Let the table of contents of a zip give another size."""
    content = bytearray(place.read_bytes())
    outer = content.rfind(name.encode()) - 46
    content[outer + 24 : outer + 28] = struct.pack("<I", size)
    place.write_bytes(content)


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


@pytest.mark.parametrize("claimed", [None, 100])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_bomb_is_refused_in_little_memory(
    tmp_path: Path, method: int, claimed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if claimed is None:
        monkeypatch.setattr(members, "MAX_FILE_BYTES", 32 * 2**20)
    place = bomb(tmp_path / "a.zip", 64 * 2**20, method)
    if claimed:
        lie(place, "cat/x.png", claimed)
    source = opened(place)
    picture = source.image(source.paths.index("cat/x.png"))
    reason = "its checksum is wrong" if claimed else "too large: a file of more than 32 MiB"

    def look() -> None:
        with pytest.raises(UnreadableImageError, match=reason):
            picture.open()

    assert memory_of(look) < 2**21


def test_a_bomb_is_left_out_and_the_rest_is_learnt(tmp_path: Path) -> None:
    source = opened(bomb(tmp_path / "a.zip", MAX_FILE_BYTES + 2**20, zipfile.ZIP_DEFLATED))
    made = build_pack(source, SETTINGS)
    assert made.unreadable == [("cat/x.png", "too large: a file of more than 512 MiB")]
    assert made.count == 3


def test_a_table_may_be_a_bomb_as_well(tmp_path: Path) -> None:
    place = bomb(tmp_path / "a.zip", 64 * 2**20, zipfile.ZIP_BZIP2, "metadata.csv")
    lie(place, "metadata.csv", 100)
    assert memory_of(lambda: refused(place)) < 2**21


def test_a_large_member_of_a_tar_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MAX_FILE_BYTES", 2000)
    source = opened(make(tmp_path / "a.tar", {**FILES, "cat/3.png": png(1, (99, 99))}))
    with pytest.raises(UnreadableImageError, match="too large"):
        source.image(source.paths.index("cat/3.png")).open()
    source.image(0).open()


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "deflated.zip", "bz2.zip", "lzma.zip"])
def test_a_member_with_a_damaged_checksum_is_left_out(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    pixmap = b"P6 60 60 255\n" + noise.tobytes()
    place = make(tmp_path / f"a.{kind}", {**FILES, "cat/3.ppm": pixmap})
    content = bytearray(place.read_bytes())
    content[content.find(b"cat/3.ppm") + 5000] ^= 1
    place.write_bytes(content)
    made = build_pack(opened(place), SETTINGS)
    assert made.count == 3
    assert [name for name, _ in made.unreadable] == ["cat/3.ppm"]
    assert made.unreadable[0][1].startswith("damaged in the archive: ")


def test_a_table_of_contents_that_lies(tmp_path: Path) -> None:
    place = make(tmp_path / "a.zip", FILES)
    whole = place.read_bytes()
    at = whole.rfind(b"cat/1.png") - 46
    lies = {
        "offset": (42, struct.pack("<I", 7), "it is not where the table of contents says"),
        "far": (42, struct.pack("<I", 2**31), "damaged in the archive: "),
        "short": (20, struct.pack("<II", 10, 10), "its checksum is wrong"),
        "long": (20, struct.pack("<II", 2**31, 90), "too large"),
        "checksum": (16, b"\1\2\3\4", "its checksum is wrong"),
        "method": (10, struct.pack("<H", 9), "it is packed by method 9, which is not read"),
    }
    for name, (where, value, reason) in lies.items():
        content = bytearray(whole)
        content[at + where : at + where + len(value)] = value
        (tmp_path / f"{name}.zip").write_bytes(content)
        made = build_pack(opened(tmp_path / f"{name}.zip"), SETTINGS)
        assert [left for left, _ in made.unreadable] == ["cat/1.png"], name
        assert reason in made.unreadable[0][1], name
        assert made.count == 2


@pytest.mark.parametrize("kind", ["zip", "tar", *COMPRESSED])
def test_a_truncated_archive_is_one_clear_error(tmp_path: Path, cache_dir: Path, kind: str) -> None:
    whole = make(tmp_path / f"a.{kind}", FILES).read_bytes()
    place = tmp_path / f"cut.{kind}"
    padding = 0 if kind != "tar" else len(whole) - len(whole.rstrip(b"\0")) - 512
    cuts = {1, 7, 512, 700, 1024, 1536, len(whole) // 3, len(whole) - padding - 1}
    for size in {size for size in cuts if size < len(whole) - padding}:
        place.write_bytes(whole[:size])
        with pytest.raises(DatasetError, match=r"cut\..* cannot be read as an archive") as caught:
            read_archive(place)
        assert caught.value.exit_code == 3
        assert caught.value.hint
        assert copies(cache_dir) == []


def test_a_tar_that_is_cut_between_two_members(tmp_path: Path) -> None:
    place = make(tmp_path / "a.tar", FILES)
    with tarfile.open(place) as archive:
        second = archive.getmembers()[1].offset
    os.truncate(place, second)
    with pytest.raises(DatasetError, match=f"damaged or cut off at byte {second}"):
        read_archive(place)


def test_a_tar_with_a_damaged_header_in_the_middle(tmp_path: Path) -> None:
    place = make(tmp_path / "a.tar", FILES)
    with tarfile.open(place) as archive:
        second = archive.getmembers()[1].offset
    content = bytearray(place.read_bytes())
    content[second] ^= 1
    place.write_bytes(content)
    with pytest.raises(DatasetError, match=f"damaged or cut off at byte {second}"):
        read_archive(place)


@pytest.mark.parametrize("content", [b"", b"these are words, no archive\n" * 99, bytes(300)])
@pytest.mark.parametrize("kind", ["zip", "tar", *COMPRESSED])
def test_what_is_no_archive_at_all(
    tmp_path: Path, cache_dir: Path, kind: str, content: bytes
) -> None:
    place = tmp_path / f"a.{kind}"
    place.write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be read as an archive") as caught:
        read_archive(place)
    assert caught.value.exit_code == 3
    assert copies(cache_dir) == []


def test_text_that_is_compressed_leaves_no_copy(tmp_path: Path, cache_dir: Path) -> None:
    for kind, press in (("tar.gz", gzip.compress), ("tar.bz2", bz2.compress)):
        (tmp_path / f"a.{kind}").write_bytes(press(b"these are words, no archive\n" * 99))
        with pytest.raises(DatasetError, match="cannot be read as an archive"):
            read_archive(tmp_path / f"a.{kind}")
    assert copies(cache_dir) == []


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_without_a_picture(tmp_path: Path, kind: str) -> None:
    for files in ({}, {"notes.txt": b"none"}):
        with pytest.raises(DatasetError, match=rf"no picture in .*passed over: {len(files)}\)"):
            read_archive(make(tmp_path / f"a.{kind}", files))


def raw_tar(*headers: bytes) -> bytes:
    return b"".join(headers) + bytes(1024)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("size", [-1024, -512, -1, 2**40])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, b"Q"])
def test_sizes_that_cannot_be(tmp_path: Path, size: int, kind: bytes) -> None:
    """tarfile goes round in circles, or reads all there is into memory (CVE-2025-8194)."""
    place = tmp_path / "a.tar"
    place.write_bytes(raw_tar(header("cat/1.png", 0), header("cat/2.png", size, kind)))
    assert memory_of(lambda: refused(place)) < 2**21


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize("size", [-1024, 2**24])
def test_a_long_header_is_not_read_into_memory(tmp_path: Path, kind: bytes, size: int) -> None:
    place = tmp_path / "a.tar"
    place.write_bytes(raw_tar(header("cat/1.png", 0), header("cat/2.png", size, kind)))
    os.truncate(place, 2**25)
    assert memory_of(lambda: refused(place)) < 2**21


@pytest.mark.timeout(10)
@pytest.mark.parametrize("size", ["-1536", "-1024", "-512", "9" * 5000, "x"])
def test_sizes_that_cannot_be_in_extended_headers(tmp_path: Path, size: str) -> None:
    place = tmp_path / "a.tar"
    entry = tarfile.TarInfo("cat/1.png")
    entry.pax_headers = {"size": size}
    place.write_bytes(raw_tar(entry.tobuf(tarfile.PAX_FORMAT)))
    try:
        assert read_archive(place).members["cat/1.png"].size == 0, "tarfile takes it for 0"
    except DatasetError as error:
        assert "cannot be read as an archive" in error.problem


def test_any_damaged_byte_is_survived(tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    for kind in ("deflated.zip", "lzma.zip", "tar"):
        whole = make(tmp_path / f"a.{kind}", {**FILES, "x" * 120 + "/1.png": png(4)}).read_bytes()
        place = tmp_path / f"b.{kind}"
        for _ in range(250):
            content = bytearray(whole)
            for at in dice.integers(0, len(content), dice.integers(1, 4)):
                content[at] = dice.integers(0, 256)
            place.write_bytes(content)
            try:
                archive = read_archive(place)
            except DatasetError:
                continue
            for path in archive.index.paths:
                try:
                    archive.members[path].open()
                except UnreadableImageError as error:
                    assert str(error).isprintable()


def test_an_archive_that_went_or_changed_after_it_was_opened(tmp_path: Path) -> None:
    for kind in ("zip", "tar"):
        place = make(tmp_path / f"a.{kind}", FILES)
        picture = opened(place).image(0)
        place.write_bytes(b"something else")
        with pytest.raises(UnreadableImageError, match="damaged in the archive"):
            picture.open()
        place.unlink()
        with pytest.raises(UnreadableImageError, match="No such file"):
            picture.open()


def test_another_archive_of_the_same_name_is_read_anew(tmp_path: Path) -> None:
    for kind in ("zip", "deflated.zip", "tar", "tar.gz"):
        seen = []
        for shade in (1, 2):
            table = b"file_name,label\n1.png,%d\n" % shade
            place = make(tmp_path / f"a.{kind}", {"1.png": png(shade), "metadata.csv": table})
            os.utime(place, (1, 1))
            source = opened(place)
            seen.append((source.classes, source.image(0).open().image.tobytes()))
        assert [classes for classes, _ in seen] == [("1",), ("2",)]
        assert seen[0] != seen[1]


# --- compressed tars, unpacked once -----------------------------------------------------------


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Each time that something is unpacked."""
    calls: list[Path] = []
    unpack = unpacking._unpack
    monkeypatch.setattr(
        unpacking, "_unpack", lambda packed, copy: (calls.append(copy), unpack(packed, copy))
    )
    return calls


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_compressed_tar_is_unpacked_once(
    tmp_path: Path, cache_dir: Path, kind: str, unpacked: list[Path]
) -> None:
    place = make(tmp_path / f"a.{kind}", FILES)
    first = read_archive(place)
    os.utime(place, (1, 1))
    moved = place.rename(tmp_path / f"b.{kind}")
    assert read_archive(moved).index.paths == first.index.paths
    assert len(unpacked) == 1
    assert copies(cache_dir) == [unpacked[0].name]
    with tarfile.open(unpacked[0], "r:") as archive:
        assert archive.getnames() == list(FILES)


def test_a_plain_tar_and_a_zip_are_read_where_they_are(tmp_path: Path, cache_dir: Path) -> None:
    for kind in ("tar", "zip", "deflated.zip"):
        read_archive(make(tmp_path / f"a.{kind}", FILES))
    make(tmp_path / "b.tar", FILES).rename(tmp_path / "misnamed.tar.gz")
    assert opened(tmp_path / "misnamed.tar.gz").classes == ("cat", "dog")
    assert copies(cache_dir) == []


def test_the_content_and_not_the_name_says_how_it_is_compressed(tmp_path: Path) -> None:
    make(tmp_path / "a.tar.xz", FILES).rename(tmp_path / "a.tar.gz")
    assert opened(tmp_path / "a.tar.gz").classes == ("cat", "dog")


def test_two_versions_of_an_archive_have_two_copies(
    tmp_path: Path, cache_dir: Path, unpacked: list[Path]
) -> None:
    """Even where size and time are the same."""
    place = tmp_path / "a.tar.gz"
    versions = []
    for shade in (b"P5 1 1 255 a", b"P5 1 1 255 b"):
        with gzip.GzipFile(place, "w", compresslevel=0, mtime=0) as pressed:
            pressed.write(make(tmp_path / "a.tar", {"x/1.pgm": shade}).read_bytes())
        os.utime(place, (1, 1))
        source = opened(place)
        versions.append((place.stat().st_size, source.image(0).open().image.tobytes()))
    assert versions == [(versions[0][0], b"a"), (versions[0][0], b"b")]
    assert len(set(unpacked)) == len(copies(cache_dir)) == 2


def test_a_full_disk_is_not_filled_further(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(tmp_path / "a.tar.gz", FILES)
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match=r"fills the disk of .*: 1\.07 GB are left") as caught:
        read_archive(place)
    assert "IDDM_CACHE_DIR" in caught.value.hint
    assert copies(cache_dir) == []


def test_room_is_looked_at_as_the_copy_grows(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(tmp_path / "a.tar.gz", {"x.png": bytes(50_000)})
    free = [2**40, 2**40, 2**20]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", 8192)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free.pop(0)))
    with pytest.raises(DatasetError, match=r"0\.00 GB are left"):
        read_archive(place)
    assert free == []
    assert copies(cache_dir) == []


@pytest.mark.parametrize("where", ["write", "fsync_file"])
def test_a_failed_copy_leaves_nothing(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if where == "write":
        monkeypatch.setattr(shutil, "disk_usage", fail)
    else:
        monkeypatch.setattr(unpacking.durable, "fsync_file", fail)
    with pytest.raises((DatasetError, OSError), match="No space left"):
        read_archive(make(tmp_path / "a.tar.gz", FILES))
    assert copies(cache_dir) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, cache_dir: Path) -> None:
    cache_dir.write_text("a file is in the way")
    with pytest.raises(DatasetError, match=r"The cache folder .* cannot be written") as caught:
        read_archive(make(tmp_path / "a.tar.gz", FILES))
    assert "IDDM_CACHE_DIR" in caught.value.hint
    assert opened(make(tmp_path / "a.tar", FILES)).classes == ("cat", "dog")


def test_a_copy_that_has_gone_bad_is_made_again(
    tmp_path: Path, cache_dir: Path, unpacked: list[Path]
) -> None:
    place = make(tmp_path / "a.tar.gz", FILES)
    read_archive(place)
    os.truncate(unpacked[0], 700)
    with pytest.raises(DatasetError):
        read_archive(place)
    assert read_archive(place).index.classes == ("cat", "dog")
    assert len(unpacked) == 2


def test_copies_that_were_cut_off_long_ago_are_swept(tmp_path: Path, cache_dir: Path) -> None:
    folder = cache_dir / "archives"
    folder.mkdir(parents=True)
    for name, age in ((".partial-1-old.tar", 5000), (".partial-2-new.tar", 5)):
        (folder / name).touch()
        written = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (written, written))
    read_archive(make(tmp_path / "a.tar.gz", FILES))
    assert [name for name in copies(cache_dir) if name.startswith(".")] == [".partial-2-new.tar"]


# --- in general -------------------------------------------------------------------------------


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
    """What a picture may have does not bound an archive: two of one size are two datasets."""
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
