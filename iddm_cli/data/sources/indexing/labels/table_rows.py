"""Labels from a metadata table: metadata.csv or metadata.jsonl, as in Hugging Face image folders.

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

from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_COLUMN
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError, did_you_mean

FILE_COLUMN = "file_name"
COLUMNS_LISTED = 20

Row = dict[str, object]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def read_labels(content: bytes, name: str, column: str) -> dict[str, str] | str:
    """Return the class of each file in a table; "" for a row without a class.

    Args:
        content: The content of the table.
        name: Its file name; the suffix decides the format.
        column: The column that holds the class.

    Returns:
        The classes by file; or the reason, if the table does not hold labels.

    Raises:
        DatasetError: The table is damaged, contradicts itself, or lacks a column that the user
            configured.
    """
    columns: dict[str, None] = {}
    classes: dict[str, str] = {}
    for row in _iter_rows(content, name):
        columns |= dict.fromkeys(row)
        file = row.get(FILE_COLUMN)
        if isinstance(file, str) and file:
            _record_class(classes, normpath(file), _to_class_name(row.get(column)), name)
    missing = next((key for key in (FILE_COLUMN, column) if key not in columns), None)
    if missing is None:
        return classes
    if column != DEFAULT_COLUMN:
        raise _no_column(name, missing, list(columns))
    if not columns:
        return "not a table of labels: it has no rows"
    others = _join_columns(key for key in columns if key != FILE_COLUMN)
    if missing == FILE_COLUMN:
        return f"not a table of labels: it has no column {FILE_COLUMN}, but {others}"
    return f"has no column {column}; data.label_column can name another: {others}"


def sort_classes(names: set[str]) -> list[str]:
    """Sort class names: by value if all are numbers, else by their bytes."""
    if all(_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (Decimal(name), name))
    return sorted(names, key=str.encode)


def _record_class(classes: dict[str, str], file: str, label: str, name: str) -> None:
    """Record the class of a file; a row without a class changes nothing.

    Raises:
        DatasetError: An earlier row gives another class.
    """
    before = classes.get(file, "")
    if before and label and before != label:
        raise DatasetError(
            f"{to_printable(name)} lists {to_printable(file)} twice, as {before} and as {label}",
            "An image has one class: correct the table, or remove it to use folder names.",
        )
    classes[file] = before or label


def _iter_rows(content: bytes, name: str) -> Iterator[Row]:
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    rows = _iter_json_rows if name.lower().endswith(".jsonl") else _iter_csv_rows
    try:
        yield from rows(lines, name)
    except UnicodeDecodeError as error:
        raise _damaged_table(name, "it is not UTF-8") from error


def _iter_csv_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    header: list[str] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _damaged_table(name, f"line {number}: {error}") from error
        if cells is None:
            return
        if not header:
            header = [cell.strip() for cell in cells]
        elif any(cells[len(header) :]):
            raise _damaged_table(name, f"line {number} has more cells than the first line")
        elif cells:
            yield dict(zip(header, cells, strict=False))


def _iter_json_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            reason = f"line {number} is not JSON: {error.msg} at column {error.colno}"
            raise _damaged_table(name, reason) from error
        except (ValueError, RecursionError) as error:
            raise _damaged_table(name, f"line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise _damaged_table(name, f"line {number} is not an object")
        yield row


def _to_class_name(value: object) -> str:
    """Convert a cell to a class name; "" if it does not hold one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return ""
    return to_printable(str(value).strip()) if isinstance(value, str | int | float) else ""


def _damaged_table(name: str, reason: str) -> DatasetError:
    return DatasetError(
        f"{to_printable(name)} cannot be read: {reason}",
        f"Each row must hold {FILE_COLUMN} and {DEFAULT_COLUMN}; correct the table, or remove it "
        "to use folder names as classes.",
    )


def _no_column(name: str, missing: str, columns: list[str]) -> DatasetError:
    near = did_you_mean(missing, map(to_printable, columns))
    setting = "" if missing == FILE_COLUMN else " (data.label_column)"
    return DatasetError(
        f"{to_printable(name)} has no column {missing}{setting}",
        f"{near} The columns are: {_join_columns(columns)}.".strip(),
    )


def _join_columns(columns: Iterable[str]) -> str:
    """Join the names of the first COLUMNS_LISTED columns."""
    names = [to_printable(column) for column in islice(columns, COLUMNS_LISTED + 1)]
    more = ", ..." if len(names) > COLUMNS_LISTED else ""
    return ", ".join(names[:COLUMNS_LISTED]) + more or "none"
