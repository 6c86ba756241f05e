"""Labels from a table: the metadata.csv or metadata.jsonl that Hugging Face image folders carry.

Each row names a file in the column `file_name`, relative to the table, and its class in another.
"""

import csv
import io
import json
from collections.abc import Iterator
from posixpath import normpath

from iddm_cli.data.listing import plain
from iddm_cli.errors import DatasetError, did_you_mean

FILE_COLUMN = "file_name"
DEFAULT_COLUMN = "label"

Row = dict[str, object]


def read_labels(content: bytes, name: str, column: str) -> dict[str, str] | str:
    """Return the class of each file that a table lists; "" where it gives none.

    Args:
        content: The table.
        name: Its file name, which says what it is, for messages too.
        column: Where the class stands.

    Returns:
        The classes; or, where the table is not about labels, why it is none.

    Raises:
        DatasetError: The table is damaged, or lacks a column that was asked for by name.
    """
    rows = list(_rows(content, name))
    columns = {key: None for row in rows for key in row}
    if FILE_COLUMN not in columns:
        return f"no table of labels: it has no column {FILE_COLUMN}"
    if column not in columns:
        if column == DEFAULT_COLUMN:
            others = ", ".join(plain(key) for key in columns if key != FILE_COLUMN) or "none"
            return f"has no column {column}; data.label_column can name another: {others}"
        raise _no_column(name, column, list(columns))
    return {
        normpath(str(row[FILE_COLUMN])): _class_name(row.get(column))
        for row in rows
        if row.get(FILE_COLUMN)
    }


def class_order(names: set[str]) -> list[str]:
    """Sort class names: numbers by their value, words by their bytes."""
    if all(name.isascii() and name.isdigit() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names, key=str.encode)


def _rows(content: bytes, name: str) -> Iterator[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _damaged(name, "it is not written in UTF-8") from error
    if name.endswith(".jsonl"):
        yield from _json_rows(text, name)
        return
    try:
        for row in csv.DictReader(io.StringIO(text), strict=True):
            yield {key: value for key, value in row.items() if key is not None}
    except csv.Error as error:
        raise _damaged(name, str(error)) from error


def _json_rows(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged(name, f"line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise _damaged(name, f"line {number} is no object")
        yield row


def _class_name(value: object) -> str:
    """Turn a cell into the name of a class; "" where it holds none."""
    if isinstance(value, bool):
        return str(value).lower()
    return plain(str(value)) if isinstance(value, str | int | float) else ""


def _damaged(name: str, reason: str) -> DatasetError:
    return DatasetError(
        f"{plain(name)} cannot be read: {reason}.",
        f"Each row holds {FILE_COLUMN} and {DEFAULT_COLUMN}; repair it, or take it away to use "
        "the folders' names as classes.",
    )


def _no_column(name: str, column: str, columns: list[str]) -> DatasetError:
    there = ", ".join(plain(key) for key in columns)
    hint = f"{did_you_mean(column, columns)} The columns are: {there}.".strip()
    return DatasetError(f"{plain(name)} has no column {column} (data.label_column).", hint)
