"""Labels from a table: the metadata.csv or metadata.jsonl that Hugging Face image folders carry.

Each row names a file in the column `file_name`, relative to the table, and its class in another.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from posixpath import normpath

from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError, did_you_mean

FILE_COLUMN = "file_name"
DEFAULT_COLUMN = "label"
COLUMNS_TOLD = 20

Row = dict[str, object]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def read_labels(content: bytes, name: str, column: str) -> dict[str, str] | str:
    """Return the class of each file that a table lists; "" where it gives none.

    Args:
        content: The table.
        name: Its file name, which says what it is, for messages too.
        column: Where the class stands.

    Returns:
        The classes; or, where the table is not about labels, why it is none.

    Raises:
        DatasetError: The table is damaged, contradicts itself, or lacks a column that was asked
            for by name.
    """
    columns: dict[str, None] = {}
    classes: dict[str, str] = {}
    for row in _rows(content, name):
        columns |= dict.fromkeys(row)
        file = row.get(FILE_COLUMN)
        if isinstance(file, str) and file:
            _note(classes, normpath(file), _class_name(row.get(column)), name)
    lacking = next((wanted for wanted in (FILE_COLUMN, column) if wanted not in columns), None)
    if lacking is None:
        return classes
    if column != DEFAULT_COLUMN:
        raise _no_column(name, lacking, list(columns))
    if not columns:
        return "no table of labels: it has no rows"
    others = _told(key for key in columns if key != FILE_COLUMN)
    if lacking == FILE_COLUMN:
        return f"no table of labels: it has no column {FILE_COLUMN}, but {others}"
    return f"has no column {column}; data.label_column can name another: {others}"


def class_order(names: set[str]) -> list[str]:
    """Sort class names: numbers by their value, words by their bytes."""
    if all(_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (Decimal(name), name))
    return sorted(names, key=str.encode)


def _note(classes: dict[str, str], file: str, label: str, name: str) -> None:
    """Note the class of a file; a row without one takes none away.

    Raises:
        DatasetError: An earlier row gives another.
    """
    before = classes.get(file, "")
    if before and label and before != label:
        raise DatasetError(
            f"{to_printable(name)} lists {to_printable(file)} twice, as {before} and as {label}.",
            "A picture has one class: repair it, or take it away to use the folders' names.",
        )
    classes[file] = before or label


def _rows(content: bytes, name: str) -> Iterator[Row]:
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    rows = _json_rows if name.lower().endswith(".jsonl") else _csv_rows
    try:
        yield from rows(lines, name)
    except UnicodeDecodeError as error:
        raise _damaged(name, "it is not written in UTF-8") from error


def _csv_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    header: list[str] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _damaged(name, f"line {number}: {error}") from error
        if cells is None:
            return
        if not header:
            header = [cell.strip() for cell in cells]
        elif any(cells[len(header) :]):
            raise _damaged(name, f"line {number} has more cells than the first line")
        elif cells:
            yield dict(zip(header, cells, strict=False))


def _json_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            reason = f"line {number} is no JSON: {error.msg}, at its character {error.colno}"
            raise _damaged(name, reason) from error
        except (ValueError, RecursionError) as error:
            raise _damaged(name, f"line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise _damaged(name, f"line {number} is no object")
        yield row


def _class_name(value: object) -> str:
    """Turn a cell into the name of a class; "" where it holds none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return ""
    return to_printable(str(value).strip()) if isinstance(value, str | int | float) else ""


def _damaged(name: str, reason: str) -> DatasetError:
    return DatasetError(
        f"{to_printable(name)} cannot be read: {reason}.",
        f"Each row holds {FILE_COLUMN} and {DEFAULT_COLUMN}; repair it, or take it away to use "
        "the folders' names as classes.",
    )


def _no_column(name: str, lacking: str, columns: list[str]) -> DatasetError:
    near = did_you_mean(lacking, map(to_printable, columns))
    setting = "" if lacking == FILE_COLUMN else " (data.label_column)"
    return DatasetError(
        f"{to_printable(name)} has no column {lacking}{setting}.",
        f"{near} The columns are: {_told(columns)}.".strip(),
    )


def _told(columns: Iterable[str]) -> str:
    """List columns, not too many."""
    names = [to_printable(column) for column in islice(columns, COLUMNS_TOLD + 1)]
    more = ", ..." if len(names) > COLUMNS_TOLD else ""
    return ", ".join(names[:COLUMNS_TOLD]) + more or "none"
