"""Names in archives: UTF-8 where that is certain, else detected over all of them, else as set."""

import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from iddm_cli.data.sources.archive_names import NameDecoder, RawName
from iddm_cli.data.sources.archive_reader import read_archive
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS
from iddm_cli.errors import DatasetError

from .archives import add, png

ANIMALS = {"gbk": "猫 狗 飞机", "cp932": "ねこ いぬ", "cp949": "고양이 강아지",
           "cp866": "кошка собака", "big5": "貓 狗 飛機", "cp437": "Bär Hündin"}  # fmt: skip


def make(place: Path, names: list[bytes]) -> Path:
    """Write an archive of small images with these names, which no program marks as UTF-8."""
    if place.suffix == ".tar":
        with tarfile.open(place, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
            for i, name in enumerate(names):
                add(tar, name.decode("utf-8", "surrogateescape"), png(i))
        return place
    with zipfile.ZipFile(place, "w") as archive:
        for i, name in enumerate(names):
            archive.writestr("x" * len(name) + f"{i:04d}", png(i))
    content = place.read_bytes()
    for i, name in enumerate(names):
        placeholder = b"x" * len(name) + f"{i:04d}".encode()
        content = content.replace(placeholder, name + b"/" * (4 - len(b".png")) + b".png")
    place.write_bytes(content)
    return place


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("encoding", ANIMALS)
def test_classes_have_the_names_that_were_written(tmp_path: Path, kind: str, encoding: str) -> None:
    words = ANIMALS[encoding].split()
    raw = [f"{word}/{i}".encode(encoding) for word in words for i in range(2)]
    index = read_archive(make(tmp_path / f"a.{kind}", raw)).index
    assert sorted(index.classes) == sorted(words)
    (note,) = index.notes
    assert note.startswith("names in the archive decoded from ")
    assert "data.archive_encoding" in note
    assert words[0] in note


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_setting_decides(tmp_path: Path, kind: str) -> None:
    place = make(tmp_path / f"a.{kind}", ["猫/0".encode("gbk"), "狗/1".encode("gbk")])
    index = read_archive(place, DEFAULT_LABELS, "gbk").index
    assert (set(index.classes), index.notes) == ({"猫", "狗"}, [])
    mojibake = read_archive(place, DEFAULT_LABELS, "cp437").index
    assert len(set(mojibake.classes) - {"猫", "狗"}) == 2
    for wrong in ("utf-8", "ascii"):
        with pytest.raises(DatasetError, match=r"data\.archive_encoding is") as caught:
            read_archive(place, DEFAULT_LABELS, wrong)
        assert "gbk (Chinese)" in caught.value.hint
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_utf_8_needs_no_flag_and_no_note(tmp_path: Path, kind: str) -> None:
    index = read_archive(make(tmp_path / f"a.{kind}", ["猫/0".encode(), "ねこ/1".encode()])).index
    assert (set(index.classes), index.notes) == ({"猫", "ねこ"}, [])


def test_a_name_in_another_encoding_among_many_in_utf_8_changes_none_of_them() -> None:
    names = [f"名前{i}".encode() for i in range(9)] + ["кошка".encode("cp866")]
    decoded = [text for text, _ in NameDecoder().decode((RawName(name), 0) for name in names)]
    assert decoded == [*(f"名前{i}" for i in range(9)), "кошка"]


@pytest.mark.parametrize("words", ["猫 狗", "猫 狗 飞机 轮船", "cat猫 dog狗"])
def test_names_that_happen_to_be_utf_8_follow_the_others(words: str) -> None:
    names = [word.encode("gbk") for word in words.split()]
    assert names[0].decode().endswith("è")
    decoded = [text for text, _ in NameDecoder().decode((RawName(name), 0) for name in names)]
    assert decoded == words.split()


def test_the_unicode_path_of_info_zip_wins(tmp_path: Path) -> None:
    place = tmp_path / "a.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for name in ("cat/1.png", "dog/1.png"):
            entry = zipfile.ZipInfo(name)
            path = {"cat/1.png": "猫/1.png"}.get(name, "x/1.png").encode()
            checksum = zlib.crc32(name.encode()) + (name == "dog/1.png")  # of another name
            entry.extra = struct.pack("<HHBI", 0x7075, 5 + len(path), 1, checksum) + path
            archive.writestr(entry, png(1))
    assert set(read_archive(place).index.classes) == {"dog", "猫"}


def test_a_letter_that_ends_in_the_byte_of_a_backslash_is_one_letter(tmp_path: Path) -> None:
    names = ["ソファ/0".encode("cp932"), "表/1".encode("cp932"), "いす/2".encode("cp932")]
    assert set(read_archive(make(tmp_path / "a.zip", names)).index.classes) == {
        "ソファ",
        "表",
        "いす",
    }
