"""Archives: the pictures of a zip or tar file, read where they are.

A compressed tar can only be read from its beginning, so it is unpacked once, to a plain tar in
the cache.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from iddm_cli import durable
from iddm_cli.data.cache import HINT, cache_error, cache_folder
from iddm_cli.data.images import MAX_FILE_BYTES, Decoded, UnreadableImage, decode
from iddm_cli.data.index import Index, arrange
from iddm_cli.data.listing import HIDDEN, Listing, is_hidden
from iddm_cli.data.metadata import DEFAULT_COLUMN
from iddm_cli.errors import DatasetError

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
RESERVE_BYTES = 2**30
BLOCK_BYTES = 2**22

_DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, RuntimeError, NotImplementedError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, MemoryError),
)


@dataclass(frozen=True)
class ZipMember:
    """One picture of a zip."""

    archive: str
    name: str

    def open(self, least: int = 0) -> Decoded:
        """Decode it.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        return decode(io.BytesIO(_read_zipped(self.archive, self.name)), least)


@dataclass(frozen=True)
class TarMember:
    """One picture of a plain tar."""

    archive: str
    offset: int
    size: int

    def open(self, least: int = 0) -> Decoded:
        """Decode it.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        if not self.size:
            raise UnreadableImage("the file is empty")
        with Path(self.archive).open("rb") as handle:
            handle.seek(self.offset)
            return decode(io.BytesIO(handle.read(self.size)), least)


Member = ZipMember | TarMember


@dataclass(frozen=True)
class Archive:
    """What an archive holds."""

    index: Index
    members: dict[str, Member]
    stored_bytes: int


def _openers() -> dict[bytes, Callable[[Path], IO[bytes]]]:
    """Return what opens a compressed file, by its first bytes."""
    return {
        b"\x1f\x8b": lambda path: cast(IO[bytes], gzip.open(path)),
        b"BZh": lambda path: cast(IO[bytes], bz2.open(path)),
        b"\xfd7zXZ": lambda path: cast(IO[bytes], lzma.open(path)),
    }


def is_archive(path: Path) -> bool:
    """Say whether a file's name is that of an archive that can be read."""
    return path.name.lower().endswith(ZIP_SUFFIXES + TAR_SUFFIXES)


def open_archive(path: Path, label_column: str = DEFAULT_COLUMN) -> Archive:
    """List the pictures of an archive.

    Raises:
        DatasetError: It is damaged, or holds nothing to train on.
    """
    try:
        if path.name.lower().endswith(ZIP_SUFFIXES):
            listing, members, size = _list_zip(path)
        else:
            listing, members, size = _list_tar(_as_plain_tar(path))
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(
            f"{path} cannot be read as an archive: {reason}.",
            "It may have been cut off while it was copied; fetch it again.",
        ) from error
    listing.paths.sort(key=str.encode)
    return Archive(arrange(listing, str(path), label_column, wrapped=True), members, size)


def _list_zip(path: Path) -> tuple[Listing, dict[str, Member], int]:
    members: dict[str, Member] = {}
    size = 0
    listing = Listing(read=lambda name: _read_zipped(str(path), name))
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.is_dir() or not _take(listing, entry.filename, kind in (0, stat.S_IFREG)):
                continue
            if entry.filename in members:
                listing.skip(entry.filename, "the archive holds this name twice")
                continue
            if entry.flag_bits & 1:
                listing.skip(entry.filename, "encrypted")
                continue
            listing.sort(entry.filename)
            members[entry.filename] = ZipMember(str(path), entry.filename)
            size += entry.compress_size
    return listing, members, size


def _list_tar(path: Path) -> tuple[Listing, dict[str, Member], int]:
    members: dict[str, Member] = {}
    listing = Listing()
    with tarfile.open(path, "r:") as archive:
        for entry in archive:
            name = entry.name.removeprefix("./")
            if entry.isdir() or not _take(listing, name, entry.isreg() and not entry.issparse()):
                continue
            if name in members:
                listing.skip(name, "the archive holds this name twice")
                continue
            if entry.size > MAX_FILE_BYTES:
                listing.skip(name, f"too large: {entry.size} bytes")
                continue
            listing.sort(name)
            members[name] = TarMember(str(path), entry.offset_data, entry.size)
            archive.members = []  # type: ignore[attr-defined] # tarfile would keep every header
    listing.read = lambda name: _read_plain(path, members[name])
    return listing, members, sum(m.size for m in members.values() if isinstance(m, TarMember))


def _take(listing: Listing, name: str, regular: bool) -> bool:
    """Leave out what an archive should not hold; a hidden folder is told with all that is in it."""
    if any(is_hidden(part) for part in name.split("/")):
        listing.skip(name, HIDDEN)
        return False
    if not regular:
        listing.skip(name, "not a regular file")
    return regular


def _read_plain(path: Path, member: Member) -> bytes:
    assert isinstance(member, TarMember), "a tar holds such members only"
    with path.open("rb") as handle:
        handle.seek(member.offset)
        return handle.read(member.size)


@lru_cache(maxsize=2)
def _opened(archive: str) -> zipfile.ZipFile:
    """Keep a zip open in this process: its table of contents is read only once."""
    return zipfile.ZipFile(archive)


def _read_zipped(archive: str, name: str) -> bytes:
    """Return the bytes of one member, and never more of them than a picture may have.

    Raises:
        UnreadableImage: The member is damaged, or too large.
    """
    try:
        with _opened(archive).open(name) as handle:
            content = handle.read(MAX_FILE_BYTES + 1)
    except _DAMAGE as error:
        raise UnreadableImage(f"damaged in the archive: {error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableImage(f"too large: a file of more than {MAX_FILE_BYTES // 2**20} MiB")
    if not content:
        raise UnreadableImage("the file is empty")
    return content


def _as_plain_tar(path: Path) -> Path:
    """Return the tar itself, or the copy of it in the cache that is not compressed."""
    with path.open("rb") as handle:
        start = handle.read(6)
    known = _openers().items()
    opener = next((opener for magic, opener in known if start.startswith(magic)), None)
    if opener is None:
        return path
    facts = path.stat()
    name = f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
    folder = cache_folder() / "archives"
    copy = folder / f"{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()}.tar"
    if not copy.exists():
        with opener(path) as packed:
            _unpack(packed, copy)
    return copy


def _unpack(packed: IO[bytes], copy: Path) -> None:
    """Write a decompressed copy, while the disk has room."""
    temporary = durable.partial_name(copy)
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            while block := packed.read(BLOCK_BYTES):
                handle.write(block)
                _check_room(copy.parent)
            durable.fsync_file(handle)
        temporary.replace(copy)
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile) or error.errno is None:
            raise
        raise cache_error(error, copy.parent) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < RESERVE_BYTES:
        raise DatasetError(
            f"Unpacking the archive fills the disk of {folder}: {free / 1e9:.2f} GB are left.",
            f"{HINT} Or unpack it yourself, and give the folder.",
        )
