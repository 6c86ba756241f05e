"""Members of archives: bombs are refused in little memory."""

import struct
import zipfile
from pathlib import Path

import pytest

from iddm_cli.data.decoding.images import MAX_FILE_BYTES, UnreadableImageError
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources import archive_members as members
from tests.data.sources.archives import FILES, SETTINGS, make, memory_of, opened, png, refused


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
    image = source.image(source.paths.index("cat/x.png"))
    reason = "its checksum is wrong" if claimed else "too large: a file of more than 32 MiB"

    def look() -> None:
        with pytest.raises(UnreadableImageError, match=reason):
            image.open()

    assert memory_of(look) < 2**21


def test_a_bomb_is_left_out_and_the_rest_is_used(tmp_path: Path) -> None:
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
