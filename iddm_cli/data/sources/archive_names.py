"""Names in an archive: UTF-8 where they are marked as such, else in an encoding to be detected."""

import codecs
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from iddm_cli.data.encodings.detection import Detection, describe_encoding, detect, is_utf8
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

AUTO = "auto"
SETTING = "data.archive_encoding"
EXAMPLES = 3
_UTF8_NAME = 0x800  # APPNOTE.TXT 4.4.4, bit 11
_UNICODE_PATH = 0x7075  # APPNOTE.TXT 4.6.9, written by Info-ZIP

Item = TypeVar("Item")


@dataclass(frozen=True)
class RawName:
    """A name as it is stored in an archive."""

    raw: bytes
    encoding: str | None = None
    """Its encoding, where the archive states it."""
    windows: bool = False
    """Whether the writer may have used backslashes between folders."""


def zip_name(entry: zipfile.ZipInfo) -> RawName:
    """Return the name of an entry of a zip; zipfile decodes names without a flag from cp437."""
    windows = entry.create_system == 0
    if entry.flag_bits & _UTF8_NAME:
        return RawName(entry.orig_filename.encode(), "utf-8", windows)
    raw = entry.orig_filename.encode("cp437")
    path = _find_unicode_path(entry.extra, raw)
    return RawName(raw, None, windows) if path is None else RawName(path, "utf-8", windows)


def tar_name(entry: tarfile.TarInfo) -> RawName:
    """Return the name of an entry of a tar that was opened with UTF-8 and surrogateescape."""
    raw = entry.name.encode("utf-8", "surrogateescape")
    return RawName(raw, "utf-8" if "path" in entry.pax_headers else None)


class NameDecoder:
    """Decodes the names of an archive, all together.

    Args:
        encoding: The encoding of names for which the archive states none; "auto" detects it.
    """

    def __init__(self, encoding: str = AUTO) -> None:
        self.encoding = encoding
        self.notes: list[str] = []

    def decode(self, entries: Iterable[tuple[RawName, Item]]) -> Iterator[tuple[str, Item]]:
        """Yield each entry with its name as text; bytes that cannot be decoded are escaped.

        Raises:
            DatasetError: The configured encoding does not fit.
        """
        listed = list(entries)
        unknown = {part for name, _ in listed if not name.encoding for part in _parts(name.raw)}
        if self.encoding == AUTO:
            texts = self._detect(unknown)
        else:
            texts = _decode_as_configured(unknown, self.encoding)
        for name, item in listed:
            yield _to_path(name, texts), item

    def _detect(self, parts: set[bytes]) -> dict[bytes, str]:
        """Return the text of each part, in UTF-8 if that fits, else as detected."""
        others = {part for part in parts if not is_utf8(part)}
        valid = {part for part in parts - others if not part.isascii()}
        is_rare = others and sum(map(_rate_utf8, valid)) <= len(others)
        if is_rare and (found := detect(parts)):
            others |= valid  # these are UTF-8 by chance
        else:
            found = detect(others) if others else None
        texts = {part: part.decode("utf-8", "surrogateescape") for part in parts}
        if found:
            texts |= {part: part.decode(found.encoding) for part in others}
            self.notes.append(_describe(found, [texts[part] for part in others]))
        return texts


def _rate_utf8(part: bytes) -> int:
    """Return how unlikely it is that a part is valid UTF-8 by chance: 猫 in GBK is è in UTF-8."""
    text = part.decode()
    letters = [char for char in text if not char.isascii()]
    if max(letters) > "\u07ff":  # a character of three bytes
        return 3
    return 2 if len(letters) > 2 else any(char.isascii() and char.isalpha() for char in text)


def _describe(found: Detection, texts: list[str]) -> str:
    examples = ", ".join(
        map(to_printable, sorted(texts, key=lambda text: (len(text), text))[:EXAMPLES])
    )
    name = describe_encoding(found.encoding)
    if found.is_sure:
        return f"names in the archive decoded from {name}, such as {examples}; {SETTING} changes it"
    others = " or ".join(map(describe_encoding, found.alternatives))
    return (
        f"names in the archive decoded from {name}, such as {examples}, but they may be {others}: "
        f"check the class names, and set {SETTING} if they are wrong"
    )


def _decode_as_configured(parts: set[bytes], encoding: str) -> dict[bytes, str]:
    """Return the text of each part in the configured encoding.

    Raises:
        DatasetError: Some cannot be decoded.
    """
    texts: dict[bytes, str] = {}
    failed: list[bytes] = []
    for part in parts:
        try:
            texts[part] = part.decode(encoding)
        except UnicodeDecodeError:
            failed.append(part)
    if not failed:
        return texts
    found = detect(parts)
    hint = f"These names look like {describe_encoding(found.encoding)}. " if found else ""
    name = codecs.lookup(encoding).name
    raise DatasetError(
        f"{SETTING} is {encoding}, but {len(failed):,} of {len(parts):,} names in the archive are "
        f"not {name}, such as {to_printable(min(failed).decode('utf-8', 'surrogateescape'))}",
        f"{hint}Set {SETTING} to the encoding of the names, or to {AUTO}.",
    )


def _to_path(name: RawName, texts: dict[bytes, str]) -> str:
    if name.encoding:
        path = name.raw.decode(name.encoding, "surrogateescape")
    else:
        path = "/".join(texts[part] for part in _parts(name.raw))
    path = path.split("\0")[0]
    return path.replace("\\", "/") if name.windows and "/" not in path else path


def _parts(raw: bytes) -> list[bytes]:
    """Split a name at slashes; no encoding of names uses that byte inside a character."""
    return raw.split(b"/")


def _find_unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """Return the UTF-8 name in the extra field of an entry, if it belongs to this name."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(content) == size > 5:
            version, checksum = struct.unpack("<BI", content[:5])
            if version == 1 and checksum == zlib.crc32(raw) and is_utf8(content[5:]):
                return content[5:]
    return None
