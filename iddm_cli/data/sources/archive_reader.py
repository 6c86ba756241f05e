"""List the images of a zip or tar file without unpacking it.

A compressed tar can only be read from its beginning, so it is decompressed once, to a plain tar in
the cache. No member is ever written under its own name, so no name can lead outside a folder.
"""

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iddm_cli.data.decoding.formats.table import SIGNATURE_BYTES
from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.sources.archive_members import (
    ARCHIVE_ERRORS,
    ArchiveMember,
    ZipMember,
    describe_damage,
)
from iddm_cli.data.sources.archive_names import AUTO, NameDecoder, RawName, tar_name, zip_name
from iddm_cli.data.sources.indexing.index import ARCHIVE_SUFFIXES, ZIP_SUFFIXES, Index, build_index
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS, LabelOptions
from iddm_cli.data.sources.indexing.listing import Listing
from iddm_cli.data.sources.indexing.system_files import find_reason
from iddm_cli.data.sources.untar import as_plain_tar
from iddm_cli.errors import DatasetError

MAX_HEADER_BYTES = 2**20
"""Limit for a long name or extended attributes in a tar, which are read into memory."""

ENCRYPTED = "encrypted"
OUTSIDE_ARCHIVE = "its name leads outside the archive"
EMPTY_NAME = "its name is empty"
DUPLICATE_NAME = "the archive contains this name twice; the last one counts, as in unpacking"
LINK = "a link, which is not followed in an archive"

_READ_INTO_MEMORY = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)


@dataclass(frozen=True)
class ArchiveContents:
    """The images of an archive, and where to read them."""

    index: Index
    members: dict[str, ArchiveMember]


ArchiveEntry = tuple[str, ArchiveMember | str | None]
"""A name; and the file of that name, the reason to skip it, or None for a folder."""

RawEntry = tuple[RawName, ArchiveMember | str | None]
"""An entry whose name is not decoded yet."""


def has_archive_suffix(path: Path) -> bool:
    """Return whether the suffix of a file is that of a supported archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def read_archive(
    path: Path, labels: LabelOptions = DEFAULT_LABELS, encoding: str = AUTO
) -> ArchiveContents:
    """List the images of an archive.

    Args:
        path: The archive.
        labels: The settings that labels depend on.
        encoding: Encoding of names that are not marked as UTF-8; "auto" detects it.

    Raises:
        DatasetError: It is damaged or encrypted, contains no image, or its names are not in the
            configured encoding.
    """
    names = NameDecoder(encoding)
    try:
        is_zip = path.name.lower().endswith(ZIP_SUFFIXES)
        listing, members = _list_zip(path, names) if is_zip else list_tar(path, names)
    except ARCHIVE_ERRORS as error:
        raise DatasetError(
            f"{path} cannot be read as an archive: {describe_damage(error)}",
            "It may be incomplete; copy or download it again.",
        ) from error
    if not listing.paths and any(reason == ENCRYPTED for _, reason in listing.skipped):
        raise DatasetError(
            f"the images in {path} are encrypted",
            "Unpack it with its password, and set data.path to the folder.",
        )
    index = build_index(listing, str(path), labels, unwrap=True)
    index.notes.extend(names.notes)
    return ArchiveContents(index, members)


def _build_listing(entries: Iterator[ArchiveEntry]) -> tuple[Listing, dict[str, ArchiveMember]]:
    """Build a listing of the entries; a folder that a system created is skipped as one entry."""
    members: dict[str, ArchiveMember] = {}
    skipped: dict[tuple[str, str], None] = {}
    listing = Listing(
        read=lambda name: _read_metadata(name, members[name]),
        read_head=lambda name: _read_head(members[name]),
    )
    for entry in entries:
        name, member, is_system = _sanitize(*entry)
        if isinstance(member, str):
            skipped[name, member] = None
        elif member:
            if name in members:
                skipped[name, DUPLICATE_NAME] = None
            members[name] = member
        if not is_system:
            _add_parents(listing, name if member is None else name.rpartition("/")[0])
    for name in members:
        listing.add_file(name)
    listing.paths.sort(key=_name_bytes)
    listing.set_aside_arrays()
    for name, reason in skipped:
        listing.skip(name, reason)
    return listing, members


def _name_bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _sanitize(
    name: str, member: ArchiveMember | str | None
) -> tuple[str, ArchiveMember | str | None, bool]:
    """Normalize a name to a relative path, and skip system files and what leads outside.

    Returns:
        The path, up to the first folder that a system created; its member, or the reason to skip
        it; and whether it is skipped as a system file.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if member and not parts:
        return name, EMPTY_NAME, False
    for depth, part in enumerate(parts, start=1):
        is_folder = depth < len(parts) or member is None
        if reason := find_reason(part, is_folder=is_folder):
            return "/".join(parts[:depth]), reason, True
    return "/".join(parts), OUTSIDE_ARCHIVE if ".." in parts else member, False


def _add_parents(listing: Listing, folder: str) -> None:
    while folder and folder not in listing.folders:
        listing.folders.add(folder)
        folder = folder.rpartition("/")[0]


def _read_head(member: ArchiveMember) -> bytes:
    try:
        return member.read(SIGNATURE_BYTES)
    except UnreadableImageError:
        return b""


def _read_metadata(name: str, member: ArchiveMember) -> bytes:
    try:
        return member.read()
    except UnreadableImageError as error:
        raise DatasetError(
            f"{name} cannot be read: {error}",
            f"It is in {member.archive}; copy or download the archive again.",
        ) from error


def _zip_entries(path: Path) -> Iterator[RawEntry]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            yield zip_name(entry), _zip_member(path, entry)


def _zip_member(path: Path, entry: zipfile.ZipInfo) -> ArchiveMember | str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return LINK if kind == stat.S_IFLNK else "not a regular file"
    if entry.flag_bits & 1:
        return ENCRYPTED
    return ZipMember(
        archive=str(path),
        offset=entry.header_offset,
        stored_size=entry.compress_size,
        size=entry.file_size,
        method=entry.compress_type,
        checksum=entry.CRC,
    )


def _list_zip(path: Path, names: NameDecoder) -> tuple[Listing, dict[str, ArchiveMember]]:
    decoded = names.decode(_zip_entries(path))
    return _build_listing(
        (name, None if name.endswith("/") else member) for name, member in decoded
    )


def list_tar(path: Path, names: NameDecoder) -> tuple[Listing, dict[str, ArchiveMember]]:
    """Return the files of a tar, and where to read each."""
    plain = as_plain_tar(path)
    try:
        return _build_listing(names.decode(_tar_entries(plain)))
    except ARCHIVE_ERRORS:
        if plain != path:
            plain.unlink(missing_ok=True)  # the copy is damaged, or was not a tar
        raise


class _CheckedTarInfo(tarfile.TarInfo):
    """A header with a plausible size; tarfile accepts any, and would seek back or fill memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _READ_INTO_MEMORY and self.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header claims a size of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_entries(path: Path) -> Iterator[RawEntry]:
    last_offset = -1
    with tarfile.open(path, "r:", tarinfo=_CheckedTarInfo, encoding="utf-8") as archive:
        for entry in archive:
            if entry.size < 0 or entry.offset_data <= last_offset:
                raise tarfile.ReadError("a header contradicts an earlier one")
            last_offset = entry.offset_data
            archive.members = []  # type: ignore[attr-defined] # tarfile keeps every header
            yield tar_name(entry), _tar_member(path, entry)
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
    """Check for the empty block at the end; tarfile also stops, silently, at a damaged header."""
    with path.open("rb") as handle:
        handle.seek(offset)
        if handle.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"it is damaged or cut off at byte {offset}")
