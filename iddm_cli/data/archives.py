"""Archives: the pictures of a zip or tar file, read where they are.

A compressed tar can only be read from its beginning, so it is unpacked once, to a plain tar in
the cache. Nothing is ever unpacked under a member's own name, so no name can lead anywhere.
"""

import bz2
import gzip
import io
import lzma
import shutil
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from iddm_cli import durable
from iddm_cli.data.cache import HINT, cache_error, cache_folder, touch
from iddm_cli.data.fingerprint import digest_files
from iddm_cli.data.images import MAX_FILE_BYTES, Decoded, UnreadableImage, decode
from iddm_cli.data.index import Index, arrange
from iddm_cli.data.listing import HIDDEN, MAGIC, Listing, is_hidden
from iddm_cli.data.metadata import DEFAULT_COLUMN
from iddm_cli.errors import DatasetError

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
RESERVE_BYTES = 2**30
BLOCK_BYTES = 2**22
LEFT_SECONDS = 3600
"""A copy in the making that was not written to for so long was cut off."""
MOST_DICTIONARY = 2**28
"""Bytes that lzma may want for a zip's member; 7-Zip's strongest setting takes a quarter."""
MOST_HEADER = 2**20
"""Bytes of a long name or of extended attributes in a tar, which are read into memory."""

BEGINNING = 4096
"""Stored bytes from which the first few of a file can be told."""

ENCRYPTED = "encrypted"
OUTSIDE = "its name leads out of the archive"
NAMELESS = "it has no name"
TWICE = "the archive holds this name twice, and the last counts, as when it is unpacked"
LINK = "a link, which is not followed in an archive"

_DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
_IN_MEMORY = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_UTF8_NAME = 0x800  # APPNOTE.TXT 4.4.4, bit 11
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE.TXT 4.3.7: signature, two lengths at its end

# How to get at most so many bytes of a member, by its method. A raw lzma stream is given the
# header of an .lzma file, which says that its length is not known.
_METHODS: dict[int, Callable[[bytes, int], bytes]] = {
    zipfile.ZIP_STORED: lambda packed, most: packed[:most],
    zipfile.ZIP_DEFLATED: lambda packed, most: zlib.decompressobj(-15).decompress(packed, most),
    zipfile.ZIP_BZIP2: lambda packed, most: bz2.BZ2Decompressor().decompress(packed, most),
    zipfile.ZIP_LZMA: lambda packed, most: lzma.LZMADecompressor(
        lzma.FORMAT_ALONE, MOST_DICTIONARY
    ).decompress(packed[4:9] + b"\xff" * 8 + packed[9:], most),
}


@dataclass(frozen=True)
class Member:
    """A file of an archive: small enough to be sent to another process, and read there."""

    archive: str
    offset: int
    stored: int  # bytes that it takes in the archive
    size: int

    def open(self, least: int = 0) -> Decoded:
        """Decode it.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        content = self.read()
        if not content:
            raise UnreadableImage("the file is empty")
        return decode(io.BytesIO(content), least)

    def read(self, most: int | None = None) -> bytes:
        """Return its bytes.

        Args:
            most: How many are enough; None: all, of which their checksum is right.

        Raises:
            UnreadableImage: It is damaged, or larger than a picture may be.
        """
        if max(self.size, self.stored) > MAX_FILE_BYTES:
            raise UnreadableImage(f"too large: a file of more than {MAX_FILE_BYTES // 2**20} MiB")
        try:
            return self._content(self.size if most is None else min(most, self.size))
        except _DAMAGE as error:
            raise UnreadableImage(f"damaged in the archive: {_reason(error)}") from error

    def _content(self, count: int) -> bytes:
        """Return the first bytes, as they are stored."""
        content = self._stored_bytes(self.offset, count)
        if len(content) < count:
            raise EOFError("it is cut off")
        return content

    def _stored_bytes(self, offset: int, count: int) -> bytes:
        with Path(self.archive).open("rb") as handle:
            handle.seek(offset)
            return handle.read(count)


@dataclass(frozen=True)
class ZipMember(Member):
    """A file of a zip; `offset` is that of its header.

    It is read here and not by zipfile, which would let every process read the whole table of
    contents, and believes the size that the table gives.
    """

    method: int
    checksum: int

    def _content(self, count: int) -> bytes:
        unpack = _METHODS.get(self.method)
        if unpack is None:
            raise ValueError(f"it is packed by method {self.method}, which is not read")
        header = self._stored_bytes(self.offset, _LOCAL_HEADER.size)
        signature, name, extra = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\3\4":
            raise ValueError("it is not where the table of contents says")
        start = self.offset + _LOCAL_HEADER.size + name + extra
        if count < self.size:
            return unpack(self._stored_bytes(start, min(self.stored, BEGINNING)), count)
        content = unpack(self._stored_bytes(start, self.stored), count + 1)
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise ValueError("its checksum is wrong")
        return content


@dataclass(frozen=True)
class Archive:
    """What an archive holds."""

    index: Index
    members: dict[str, Member]

    @property
    def stored_bytes(self) -> int:
        """Bytes that its pictures take there."""
        return sum(self.members[path].stored for path in self.index.paths)


Entry = tuple[str, Member | str | None]
"""The name of a file; and the file, or why it is left out, or None where it is a folder."""


def is_archive(path: Path) -> bool:
    """Say whether a file's name is that of an archive that can be read."""
    return path.name.lower().endswith(ZIP_SUFFIXES + TAR_SUFFIXES)


def open_archive(path: Path, label_column: str = DEFAULT_COLUMN) -> Archive:
    """List the pictures of an archive.

    Raises:
        DatasetError: It is damaged, or holds nothing to train on.
    """
    try:
        is_zip = path.name.lower().endswith(ZIP_SUFFIXES)
        listing, members = _list(_zip_entries(path)) if is_zip else _list_tar(path)
    except _DAMAGE as error:
        raise DatasetError(
            f"{path} cannot be read as an archive: {_reason(error)}.",
            "It may have been cut off while it was copied; fetch it again.",
        ) from error
    if not listing.paths and any(reason == ENCRYPTED for _, reason in listing.skipped):
        raise DatasetError(
            f"The pictures of {path} are encrypted.",
            "Unpack it with its password, and give the folder.",
        )
    return Archive(arrange(listing, str(path), label_column, wrapped=True), members)


def _reason(error: BaseException) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split()).rstrip(".") or type(error).__name__


def _list(entries: Iterator[Entry]) -> tuple[Listing, dict[str, Member]]:
    """Sort what an archive holds; what is hidden in a folder goes by the folder, told once."""
    members: dict[str, Member] = {}
    left_out: dict[tuple[str, str], None] = {}
    listing = Listing(read=lambda name: _read_table(name, members[name]))
    for name, what in (_judge(*entry) for entry in entries):
        if isinstance(what, str):
            left_out[name, what] = None
        elif what:
            if name in members:
                left_out[name, TWICE] = None
            members[name] = what
        if what != HIDDEN:
            _add_folders(listing, name if what is None else name.rpartition("/")[0])
    for name, member in members.items():
        listing.sort(name, has_magic=partial(_has_magic, member))
    listing.paths.sort(key=_name_bytes)
    for name, reason in left_out:
        listing.skip(name, reason)
    return listing, members


def _name_bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _judge(name: str, what: Member | str | None) -> Entry:
    """Write a name as below a folder, and leave out what no archive should hold."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if what and not parts:
        return name, NAMELESS
    for depth, part in enumerate(parts, start=1):
        if is_hidden(part):
            return "/".join(parts[:depth]), HIDDEN
    return "/".join(parts), OUTSIDE if ".." in parts else what


def _add_folders(listing: Listing, folder: str) -> None:
    while folder and folder not in listing.folders:
        listing.folders.add(folder)
        folder = folder.rpartition("/")[0]


def _has_magic(member: Member) -> bool:
    """Look whether a member begins as pictures do."""
    try:
        return member.read(8).startswith(MAGIC)
    except UnreadableImage:
        return False


def _read_table(name: str, member: Member) -> bytes:
    try:
        return member.read()
    except UnreadableImage as error:
        raise DatasetError(
            f"{name} cannot be read: {error}.", f"It is in {member.archive}; fetch it again."
        ) from error


def _zip_entries(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = _zip_name(entry)
            yield name, None if name.endswith("/") else _zip_member(path, entry)


def _zip_member(path: Path, entry: zipfile.ZipInfo) -> Member | str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return LINK if kind == stat.S_IFLNK else "not a regular file"
    if entry.flag_bits & 1:
        return ENCRYPTED
    return ZipMember(
        archive=str(path),
        offset=entry.header_offset,
        stored=entry.compress_size,
        size=entry.file_size,
        method=entry.compress_type,
        checksum=entry.CRC,
    )


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """Return a name as it was meant.

    macOS writes UTF-8 and does not say so; old programs for Windows write backslashes.
    """
    name = entry.filename
    if not entry.flag_bits & _UTF8_NAME:
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            return name
    windows = entry.create_system == 0 and "/" not in name
    return name.replace("\\", "/") if windows else name


def _list_tar(path: Path) -> tuple[Listing, dict[str, Member]]:
    plain = _as_plain_tar(path)
    try:
        return _list(_tar_entries(plain))
    except _DAMAGE:
        if plain != path:
            plain.unlink(missing_ok=True)  # no tar was compressed, or the copy has gone bad
        raise


class _Header(tarfile.TarInfo):
    """A header whose size is plausible; tarfile would believe any, and go back or fill memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _IN_MEMORY and self.size > MOST_HEADER):
            raise tarfile.ReadError(f"a header says that it is {self.size} bytes long")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_entries(path: Path) -> Iterator[Entry]:
    behind = -1
    with tarfile.open(path, "r:", tarinfo=_Header, encoding="utf-8") as archive:
        for entry in archive:
            if entry.size < 0 or entry.offset_data <= behind:
                raise tarfile.ReadError("a header contradicts those before it")
            behind = entry.offset_data
            archive.members = []  # type: ignore[attr-defined] # tarfile would keep every header
            yield entry.name, _tar_member(path, entry)
        _check_end(path, archive.offset)


def _tar_member(path: Path, entry: tarfile.TarInfo) -> Member | str | None:
    if entry.isdir():
        return None
    if entry.issym() or entry.islnk():
        return LINK
    if entry.issparse():
        return "a sparse file"
    if not entry.isreg():
        return "not a regular file"
    return Member(str(path), entry.offset_data, entry.size, entry.size)


def _check_end(path: Path, offset: int) -> None:
    """Look for the empty block at the end; tarfile stops at any other as if it were one."""
    with path.open("rb") as handle:
        handle.seek(offset)
        if handle.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"it is damaged or cut off at byte {offset}")


def _openers() -> dict[bytes, Callable[[Path], IO[bytes]]]:
    """Return what opens a compressed file, by its first bytes."""
    return {
        b"\x1f\x8b": lambda path: cast(IO[bytes], gzip.open(path)),
        b"BZh": lambda path: cast(IO[bytes], bz2.open(path)),
        b"\xfd7zXZ": lambda path: cast(IO[bytes], lzma.open(path)),
    }


def _as_plain_tar(path: Path) -> Path:
    """Return the tar itself, or the copy of it in the cache that is not compressed."""
    with path.open("rb") as handle:
        start = handle.read(6)
    known = _openers().items()
    opener = next((opener for magic, opener in known if start.startswith(magic)), None)
    if opener is None:
        return path
    content = digest_files(path, [""], lambda *_: None)
    copy = cache_folder() / "archives" / f"{content}.tar"
    if copy.exists():
        touch(copy)
        return copy
    with opener(path) as packed:
        _unpack(packed, copy)
    return copy


def _unpack(packed: IO[bytes], copy: Path) -> None:
    """Write a decompressed copy, while the disk has room."""
    temporary = durable.partial_name(copy)
    with _writing(copy.parent):
        copy.parent.mkdir(parents=True, exist_ok=True)
        _sweep(copy.parent)
        handle = temporary.open("wb")
    try:
        with handle:
            while block := packed.read(BLOCK_BYTES):
                _check_room(copy.parent)
                with _writing(copy.parent):
                    handle.write(block)
            with _writing(copy.parent):
                durable.fsync_file(handle)
        with _writing(copy.parent):
            temporary.replace(copy)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell apart what fails in the cache from what fails in the archive."""
    try:
        yield
    except OSError as error:
        raise cache_error(error, folder) from error


def _sweep(folder: Path) -> None:
    """Remove the copies that were cut off."""
    for leftover in folder.glob(f"{durable.PARTIAL}*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFT_SECONDS:
                leftover.unlink()


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < RESERVE_BYTES:
        raise DatasetError(
            f"Unpacking the archive fills the disk of {folder}: {free / 1e9:.2f} GB are left.",
            f"{HINT} Or unpack it yourself, and give the folder.",
        )
