"""The text of a table: its encoding, and the character between its cells."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from iddm_cli.data.encodings.detection import describe_encoding, detect

DELIMITERS = ",;\t|"
SAMPLE_LINES = 50
SAMPLE_BYTES = 2**17
BLOCK = 2**16
MAX_WORDS = 5000

_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)


class TableTextError(Exception):
    """The content of a table is not text."""


@dataclass(frozen=True)
class TableText:
    """The lines of a table, which can be read several times."""

    content: bytes
    encoding: str
    delimiter: str = ","
    skipped_lines: int = 0
    """Lines before the table, such as `sep=;`."""
    note: str = ""
    """What the user should know about the encoding."""

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table, with their ends."""
        handle = io.TextIOWrapper(io.BytesIO(self.content), encoding=self.encoding, newline="")
        for number, line in enumerate(handle):
            if number >= self.skipped_lines:
                yield line


def open_table_text(content: bytes, *, has_cells: bool, spaces: bool = False) -> TableText:
    """Determine the encoding of a table, and the character between its cells.

    Args:
        content: The file.
        has_cells: Whether lines consist of cells, as in CSV; JSON lines do not.
        spaces: Whether cells may also be separated by spaces.

    Raises:
        TableTextError: It is not text, or in an unknown encoding.
    """
    encoding, note = _find_encoding(content)
    text = TableText(content, encoding, note=note)
    if not has_cells:
        return text
    first = next(text.lines(), "")
    if found := _SEP_LINE.fullmatch(first):
        return TableText(content, encoding, found[1], 1, note)
    return TableText(content, encoding, _find_delimiter(text.lines, spaces=spaces), note=note)


def _find_encoding(content: bytes) -> tuple[str, str]:
    """Return the encoding, and a note for the user or ""."""
    if content.startswith(_WORKBOOKS):
        raise TableTextError("it is a workbook of a spreadsheet program, not text: save it as CSV")
    for bom, encoding in _BOMS.items():
        if content.startswith(bom):
            return encoding, ""
    head = content[:BLOCK]
    if head.count(0) > len(head) // 4:
        odd = head[1::2].count(0)
        return ("utf-16-le" if odd > head[::2].count(0) else "utf-16-be"), ""
    if _fits_utf8(content):
        return "utf-8", ""
    words = (word for word in re.split(rb'[,;\t|\r\n"/\\ ]+', content) if not word.isascii())
    found = detect(list(dict.fromkeys(word[:200] for word in words))[:MAX_WORDS], dos=False)
    if found is None or found.encoding == "utf-8":
        raise TableTextError("its encoding is not known: save it as UTF-8")
    note = f"decoded from {describe_encoding(found.encoding)}"
    if not found.is_sure:
        others = " or ".join(map(describe_encoding, found.alternatives))
        note += f", but it may be {others}: save it as UTF-8 if class names are wrong"
    return found.encoding, note


def _fits_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), BLOCK):
            decoder.decode(content[start : start + BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _find_delimiter(lines: Callable[[], Iterator[str]], *, spaces: bool) -> str:
    """Return the character that splits the first lines into the same number of cells, above one."""
    sample: list[str] = []
    for line in lines():
        sample.append(line)
        if len(sample) >= SAMPLE_LINES or sum(map(len, sample)) > SAMPLE_BYTES:
            break
    candidates = DELIMITERS + (" " if spaces else "")
    return max(candidates, key=lambda delimiter: _rate_delimiter(sample, delimiter))


def _rate_delimiter(sample: list[str], delimiter: str) -> tuple[float, int]:
    """Return the share of rows with as many cells as the header, and the number of cells."""
    try:
        rows = [row for row in csv.reader(sample, delimiter=delimiter) if any(row)]
    except csv.Error:
        return 0.0, 0
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    same = sum(len(row) == len(rows[0]) for row in rows)
    return same / len(rows), len(rows[0])
