"""Archives: the pictures of a zip or tar file, read where they are.

A compressed tar can only be read from its beginning, so it is unpacked once, to a plain tar in
the cache. Nothing is ever unpacked under a member's own name, so no name can lead anywhere.
"""

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.sources.archive_members import DAMAGE, ArchiveMember, ZipMember, describe_damage
from iddm_cli.data.sources.indexing.index import Index, arrange
from iddm_cli.data.sources.indexing.listing import HIDDEN, MAGIC, Listing, is_hidden
from iddm_cli.data.sources.indexing.metadata import DEFAULT_COLUMN
from iddm_cli.data.sources.untar import as_plain_tar
from iddm_cli.errors import DatasetError

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MOST_HEADER = 2**20
"""Bytes of a long name or of extended attributes in a tar, which are read into memory."""

ENCRYPTED = "encrypted"
OUTSIDE = "its name leads out of the archive"
NAMELESS = "it has no name"
TWICE = "the archive holds this name twice, and the last counts, as when it is unpacked"
LINK = "a link, which is not followed in an archive"

_IN_MEMORY = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_UTF8_NAME = 0x800  # APPNOTE.TXT 4.4.4, bit 11


@dataclass(frozen=True)
class Archive:
    """What an archive holds."""

    index: Index
    members: dict[str, ArchiveMember]

    @property
    def stored_bytes(self) -> int:
        """Bytes that its pictures take there."""
        return sum(self.members[path].stored for path in self.index.paths)


Entry = tuple[str, ArchiveMember | str | None]
"""The name of a file; and the file, or why it is left out, or None where it is a folder."""


def has_archive_suffix(path: Path) -> bool:
    """Say whether a file's name is that of an archive that can be read."""
    return path.name.lower().endswith(ZIP_SUFFIXES + TAR_SUFFIXES)


def read_archive(path: Path, label_column: str = DEFAULT_COLUMN) -> Archive:
    """List the pictures of an archive.

    Raises:
        DatasetError: It is damaged, or holds nothing to train on.
    """
    try:
        is_zip = path.name.lower().endswith(ZIP_SUFFIXES)
        listing, members = _list(_zip_entries(path)) if is_zip else _list_tar(path)
    except DAMAGE as error:
        raise DatasetError(
            f"{path} cannot be read as an archive: {describe_damage(error)}.",
            "It may have been cut off while it was copied; fetch it again.",
        ) from error
    if not listing.paths and any(reason == ENCRYPTED for _, reason in listing.skipped):
        raise DatasetError(
            f"The pictures of {path} are encrypted.",
            "Unpack it with its password, and give the folder.",
        )
    return Archive(arrange(listing, str(path), label_column, wrapped=True), members)


def _list(entries: Iterator[Entry]) -> tuple[Listing, dict[str, ArchiveMember]]:
    """Sort what an archive holds; what is hidden in a folder goes by the folder, told once."""
    members: dict[str, ArchiveMember] = {}
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


def _judge(name: str, what: ArchiveMember | str | None) -> Entry:
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


def _has_magic(member: ArchiveMember) -> bool:
    """Look whether a member begins as pictures do."""
    try:
        return member.read(8).startswith(MAGIC)
    except UnreadableImageError:
        return False


def _read_table(name: str, member: ArchiveMember) -> bytes:
    try:
        return member.read()
    except UnreadableImageError as error:
        raise DatasetError(
            f"{name} cannot be read: {error}.", f"It is in {member.archive}; fetch it again."
        ) from error


def _zip_entries(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = _zip_name(entry)
            yield name, None if name.endswith("/") else _zip_member(path, entry)


def _zip_member(path: Path, entry: zipfile.ZipInfo) -> ArchiveMember | str:
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


def _list_tar(path: Path) -> tuple[Listing, dict[str, ArchiveMember]]:
    plain = as_plain_tar(path)
    try:
        return _list(_tar_entries(plain))
    except DAMAGE:
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


def _tar_member(path: Path, entry: tarfile.TarInfo) -> ArchiveMember | str | None:
    if entry.isdir():
        return None
    if entry.issym() or entry.islnk():
        return LINK
    if entry.issparse():
        return "a sparse file"
    if not entry.isreg():
        return "not a regular file"
    return ArchiveMember(str(path), entry.offset_data, entry.size, entry.size)


def _check_end(path: Path, offset: int) -> None:
    """Look for the empty block at the end; tarfile stops at any other as if it were one."""
    with path.open("rb") as handle:
        handle.seek(offset)
        if handle.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"it is damaged or cut off at byte {offset}")
