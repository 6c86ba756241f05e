"""Listing archives: hostile names, special files and damage."""

import bz2
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.archive_reader import (
    DUPLICATE_NAME,
    EMPTY_NAME,
    LINK,
    OUTSIDE_ARCHIVE,
    read_archive,
)
from iddm_cli.data.sources.indexing.system_files import HIDDEN
from iddm_cli.errors import DatasetError
from tests.data.sources.archives import (
    COMPRESSED,
    FILES,
    SETTINGS,
    add,
    copies,
    make,
    memory_of,
    opened,
    png,
    refused,
    skipped,
)

# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_a_system_hid_is_reported_once(tmp_path: Path, kind: str) -> None:
    litter = ["__MACOSX/cat/._1.png", "__MACOSX/cat/._2.png", "__MACOSX/._cat", "cat/.DS_Store"]
    litter += ["cat/.thumbs/1.png", "cat/.thumbs/2.png", "cat/Thumbs.db", ".git/x/y.png"]
    found = skipped(make(tmp_path / f"a.{kind}", {**FILES, **dict.fromkeys(litter, png(5))}))
    assert found == {
        "__MACOSX": "created by macOS",
        "cat/.DS_Store": "created by macOS",
        "cat/.thumbs": HIDDEN,
        "cat/Thumbs.db": "created by Windows",
        ".git": "created by version control",
    }


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
    assert (
        skipped(place).items()
        >= {"../up.png": OUTSIDE_ARCHIVE, "cat/../../x.png": OUTSIDE_ARCHIVE}.items()
    )
    if kind == "tar":
        assert skipped(place)["."] == EMPTY_NAME
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
    assert skipped(place) == {"cat/1.png": DUPLICATE_NAME}
    right = Image.open(io.BytesIO(png(3)))
    assert source.image(0).open().image.tobytes() == right.tobytes()


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    place = tmp_path / "a.tar"
    with tarfile.open(place, "w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, os.fsdecode(b"caf\xe9/\x1b[31m.png"), png(1))
        add(archive, "tea/1.png", png(2))
    source = opened(place)
    assert source.classes == ("caf\u00e9", "tea")
    assert source.item_name(0) == "caf\u00e9/\\x1b[31m.png"
    made = build_pack(source, SETTINGS)
    assert made.count == 2
    assert all(name.isprintable() for name in made.names)


@pytest.mark.parametrize(
    ("stored", "read"), [("猫".encode(), "猫"), (b"caf\x82", "café"), (b"\x93\xfa", "日")]
)
def test_names_of_a_zip_that_does_not_say_their_encoding(
    tmp_path: Path, stored: bytes, read: str
) -> None:
    """UTF-8 where it can be that, as macOS writes it; else the most likely code page."""
    place = make(tmp_path / "a.zip", {"x" * len(stored) + "/1.png": png(1), "zz/2.png": png(2)})
    place.write_bytes(place.read_bytes().replace(b"x" * len(stored) + b"/1", stored + b"/1"))
    source = opened(place)
    assert source.classes == tuple(sorted((read, "zz"), key=str.encode))
    assert build_pack(source, SETTINGS).count == 2


# --- members that are no plain files --------------------------------------------------------------


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


# --- damage ---------------------------------------------------------------------------------------


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
        "offset": (42, struct.pack("<I", 7), "its header is not where the table of contents says"),
        "far": (42, struct.pack("<I", 2**31), "damaged in the archive: "),
        "short": (20, struct.pack("<II", 10, 10), "its checksum is wrong"),
        "long": (20, struct.pack("<II", 2**31, 90), "too large"),
        "checksum": (16, b"\1\2\3\4", "its checksum is wrong"),
        "method": (10, struct.pack("<H", 9), "compression method 9 is not supported"),
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
def test_an_archive_without_an_image(tmp_path: Path, kind: str) -> None:
    for files in ({}, {"notes.txt": b"none"}):
        with pytest.raises(
            DatasetError, match=rf"contains no image \(skipped files: {len(files)}\)"
        ):
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
        image = opened(place).image(0)
        place.write_bytes(b"something else")
        with pytest.raises(UnreadableImageError, match="damaged in the archive"):
            image.open()
        place.unlink()
        with pytest.raises(UnreadableImageError, match="No such file"):
            image.open()


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
