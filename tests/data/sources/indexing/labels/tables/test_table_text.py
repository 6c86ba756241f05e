"""The text of a table: encodings and delimiters as spreadsheets write them."""

import pytest

from iddm_cli.data.sources.indexing.labels.tables.table_text import (
    TableTextError,
    open_table_text,
)

LINES = "file_name,label\na.png,Bär\nb.png,Hündin\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    content = LINES.replace(",", delimiter).encode()
    assert open_table_text(content, has_cells=True).delimiter == delimiter


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("file;label;size\na.png;x;1,5\nb.png;y;2,5\n", ";"),
        ('file,label,text\na.png,x,"a; b; c"\nb.png,y,"d; e"\n', ","),
        ("file\tlabel\na b.png\tx, y\nc.png\tz\n", "\t"),
        ("sep=;\nfile;label\na.png;x\n", ";"),
        ('"sep=|"\r\nfile|label\r\na.png|x\r\n', "|"),
        ("file_name\na.png\n", ","),
        ("", ","),
    ],
)
def test_commas_inside_cells_do_not_matter(content: str, delimiter: str) -> None:
    text = open_table_text(content.encode(), has_cells=True)
    assert text.delimiter == delimiter
    assert "sep=" not in "".join(text.lines())


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_the_encoding_is_found(encoding: str) -> None:
    text = open_table_text(LINES.encode(encoding), has_cells=True)
    assert "".join(text.lines()) == LINES
    assert bool(text.note) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("encoding", "words"), [("gbk", "猫 狗"), ("cp932", "ねこ 犬"), ("cp1251", "кошка собака")]
)
def test_the_encoding_of_local_spreadsheets_is_found(encoding: str, words: str) -> None:
    first, second = words.split()
    content = (
        f"文件名,{second}\na.png,{first}\n" if encoding == "gbk" else f"a.png,{first}\n{second}"
    )
    text = open_table_text(content.encode(encoding), has_cells=True)
    assert first in "".join(text.lines())
    assert "decoded from" in text.note


@pytest.mark.parametrize("content", [b"PK\x03\x04xyz", b"\xd0\xcf\x11\xe0xyz"])
def test_a_workbook_is_not_text(content: bytes) -> None:
    with pytest.raises(TableTextError, match="save it as CSV"):
        open_table_text(content, has_cells=True)
