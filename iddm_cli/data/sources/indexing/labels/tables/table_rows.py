"""The rows of a table: read one by one, from CSV, TSV or JSON lines."""

import csv
import json
import math
from collections.abc import Iterator

from iddm_cli.data.sources.indexing.labels.tables.table_text import (
    TableText,
    TableTextError,
    open_table_text,
)
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

Row = dict[str, object]


class LabelTable:
    """A table of a dataset, whose rows can be read several times.

    Args:
        content: The file.
        name: Its path, whose suffix decides the format.

    Raises:
        DatasetError: It is not text.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.name = to_printable(name)
        self.has_header = True
        lower = name.lower()
        self.is_json = lower.endswith((".jsonl", ".json"))
        try:
            self.text: TableText = open_table_text(
                content, has_cells=not self.is_json, spaces=lower.endswith(".txt")
            )
        except TableTextError as error:
            raise self.damage(str(error)) from None
        except UnicodeDecodeError as error:
            raise self.damage(f"it is not {error.encoding}") from error

    def rows(self) -> Iterator[Row]:
        """Yield each row as a value by its column.

        Raises:
            DatasetError: The table is damaged.
        """
        try:
            yield from self._json_rows() if self.is_json else self._csv_rows()
        except UnicodeDecodeError as error:
            raise self.damage(f"it is not {self.text.encoding}") from error

    def header(self) -> list[str]:
        """Return the cells of the first line of a CSV that is not empty."""
        return next((cells for _, cells in self._cells()), [])

    def _csv_rows(self) -> Iterator[Row]:
        header: list[str] = []
        for number, cells in self._cells():
            if not header:
                header = [cell.strip() for cell in cells]
                if self.has_header:
                    continue
                header = [str(i) for i in range(1, len(cells) + 1)]
            if any(cells[len(header) :]):
                raise self.damage(f"line {number} has more cells than the first line")
            yield dict(zip(header, cells, strict=False))

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the cells of each line that is not empty."""
        reader = csv.reader(
            self.text.lines(), delimiter=self.text.delimiter, strict=True, skipinitialspace=True
        )
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise self.damage(f"line {number + self.text.skipped_lines}: {error}") from error
            if cells is None:
                return
            if cells:
                yield number + self.text.skipped_lines, cells

    def _json_rows(self) -> Iterator[Row]:
        if self.name.lower().endswith(".json"):
            yield from self._json_array()
            return
        for number, line in enumerate(self.text.lines(), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                reason = f"line {number} is not JSON: {error.msg} at column {error.colno}"
                raise self.damage(reason) from error
            except (ValueError, RecursionError) as error:
                raise self.damage(f"line {number} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise self.damage(f"line {number} is not an object")
            yield row

    def _json_array(self) -> Iterator[Row]:
        try:
            rows = json.loads("".join(self.text.lines()))
        except (ValueError, RecursionError) as error:
            raise self.damage(f"it is not JSON: {str(error)[:200]}") from error
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise self.damage(f"entry {number} is not an object")
            yield row

    def damage(self, reason: str) -> DatasetError:
        """Return the error for a table that cannot be read."""
        reason = to_printable(reason)
        return DatasetError(
            f"{self.name} cannot be read: {reason}",
            "Each row must hold file_name and label; correct the table, or remove it to use folder "
            "names as classes.",
        )


def to_class_name(value: object) -> str:
    """Convert a cell to a class name; "" if it does not hold one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list):
        return to_class_name(value[0])
    return to_printable(str(value).strip()) if isinstance(value, str | int | float) else ""
