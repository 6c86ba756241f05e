"""The label source of tables: which table beside the images counts, and what it says of each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import normpath

from iddm_cli.data.sources.indexing.labels.assignment import (
    CONDITIONAL_HINT,
    Assignment,
    assign_classes,
    describe_gaps,
    no_image_labelled,
)
from iddm_cli.data.sources.indexing.labels.file_matching import FileMatcher, clean_cell
from iddm_cli.data.sources.indexing.labels.label_files import TABLE_SUFFIXES, WORKBOOK_SUFFIXES
from iddm_cli.data.sources.indexing.labels.labelling import (
    DEFAULT_COLUMN,
    Labelling,
    LabelScan,
    parent_folder,
)
from iddm_cli.data.sources.indexing.labels.tables.table_columns import (
    ColumnChoice,
    choose_columns,
    detect_header,
    join_columns,
    list_marked,
)
from iddm_cli.data.sources.indexing.labels.tables.table_rows import LabelTable, to_class_name
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError, did_you_mean

METADATA = ("metadata.csv", "metadata.jsonl")
KNOWN_STEMS = (
    *("metadata", "labels", "label", "train_labels", "trainlabels", "annotations", "annotation"),
    *("train", "training", "classification", "targets", "ground_truth", "groundtruth"),
)
"""Usual names of tables of labels, best first; others count if they list the images."""
HELD_OUT_STEMS = (
    *("test", "val", "valid", "validation", "test_labels", "val_labels", "sample_submission"),
    *("submission", "samplesubmission", "sample"),
)
MAX_TABLES = 20
_JSON_ROWS = re.compile(rb"[\s\xef\xbb\xbf]*\[\s*\{")


@dataclass(frozen=True)
class TableLabels:
    """What one table says of the images."""

    table: LabelTable
    path: str
    columns: ColumnChoice
    assignment: Assignment


def find_table_labels(scan: LabelScan) -> Labelling:
    """Return the labels of the nearest and best-named table that has any.

    Raises:
        DatasetError: A table that is named as one of labels is damaged, or labels no image.
    """
    found = Labelling()
    chosen = ""
    for path in _list_tables(scan, found):
        if found.classes is not None:
            nearer = path.count("/") < chosen.count("/")
            reason = "is nearer" if nearer else "is used"
            found.skipped[path] = f"a table of labels, but {found.origin} {reason}"
            continue
        chosen = path
        try:
            _read_table(scan, path, found)
        except DatasetError as error:
            if _is_known(path) and scan.options.required:
                raise
            found.skipped[path] = error.problem
            _note_unused(scan, found, path, error.problem)
    return found


def _list_tables(scan: LabelScan, found: Labelling) -> list[str]:
    """Return the tables that may be about the images, best first; report the others."""
    tables = []
    for path in scan.files:
        name = _file_name(path)
        if not _is_table(name):
            continue
        if not _is_beside(scan, path):
            if name in METADATA:
                found.skipped[path] = "a table of labels, but not beside the images used"
        elif _stem(name) in HELD_OUT_STEMS:
            found.skipped[path] = "a table of another part of a split"
        else:
            tables.append(path)
    return sorted(tables, key=_order)[:MAX_TABLES]


def _is_beside(scan: LabelScan, path: str) -> bool:
    """Return whether a table is beside the images, above them, or in a folder beside them."""
    if scan.is_around(path):
        return True
    folder = parent_folder(path)
    around = parent_folder(folder[:-1])
    has_images = any(image.startswith(folder) for image in scan.all_paths)
    return scan.base.startswith(around) and _is_known(path) and not has_images


def _order(path: str) -> tuple[bool, int, int, str]:
    """Return a sort key: text before workbooks, then the nearest, then the usual names."""
    return path.lower().endswith(WORKBOOK_SUFFIXES), -path.count("/"), _rank(path), path


def _is_table(name: str) -> bool:
    """Return whether a file is a table, or a workbook that ought to be one."""
    if name.endswith((".txt", ".json")):
        return _stem(name) in KNOWN_STEMS
    return name.endswith(TABLE_SUFFIXES + WORKBOOK_SUFFIXES)


def _rank(path: str) -> int:
    stem = _stem(_file_name(path))
    return KNOWN_STEMS.index(stem) if stem in KNOWN_STEMS else len(KNOWN_STEMS)


def _is_known(path: str) -> bool:
    """Return whether the name says that a file is a table of labels."""
    return _rank(path) < len(KNOWN_STEMS) and not path.lower().endswith((".txt", ".json"))


def _read_table(scan: LabelScan, path: str, found: Labelling) -> None:
    """Read a table; add its labels, or the reason why it gives none.

    Raises:
        DatasetError: It is damaged, contradicts itself, or labels no image.
    """
    content = scan.read(path)
    if path.lower().endswith(".json") and not _JSON_ROWS.match(content):
        return  # not a list of rows
    table = LabelTable(content, path)
    matcher = FileMatcher(scan.paths, scan.all_paths, parent_folder(path))
    detect_header(table, matcher)
    options = scan.options
    columns = choose_columns(table, matcher, options.column, strict=options.required)
    is_metadata = _file_name(path) in METADATA
    if not columns.lists_images and not (_is_known(path) and columns.file):
        reason = columns.reason if not columns.file else "it lists none of the images"
        _refuse(scan, found, table, path, f"not a table of labels: {reason}")
    elif columns.reason and not (columns.is_certain or _is_known(path)):
        reason = "its numbers may mean other things than images"
        _refuse(scan, found, table, path, f"not a table of labels: {reason}")
    elif columns.reason:
        _refuse(scan, found, table, path, f"gives no labels: {columns.reason}")
    else:
        assignment = assign_classes(_iter_labels(table, columns), matcher, table.name)
        share = assignment.labelled / len(scan.paths)
        if share < 0.5 and not is_metadata and (scan.has_class_folders or not _is_known(path)):
            what = "gives no labels" if columns.is_certain else "not a table of labels"
            reason = f"it lists only {share:.0%} of the images"
            _refuse(scan, found, table, path, f"{what}: {reason}")
        else:
            _accept(scan, found, TableLabels(table, path, columns, assignment))


def _refuse(scan: LabelScan, found: Labelling, table: LabelTable, path: str, reason: str) -> None:
    """Report a table that gives no labels; fatal if nothing else gives classes."""
    found.skipped[path] = reason.removeprefix("gives no labels: it ").removeprefix("gives no ")
    problem = f"{table.name} is {reason}" if reason.startswith("not") else f"{table.name} {reason}"
    column = scan.options.column
    if column != DEFAULT_COLUMN and not reason.startswith("not a table"):
        found.failure = found.failure or _no_column(table, column)
    elif _is_known(path) or not reason.startswith("not a table"):
        found.failure = found.failure or DatasetError(
            problem,
            "Set data.label_column to the column with the class, or correct or remove the table; "
            f"{CONDITIONAL_HINT}.",
        )
    else:
        _note_unused(scan, found, path, problem)


def _note_unused(scan: LabelScan, found: Labelling, path: str, problem: str) -> None:
    """Report a table that seems to be about something else, unless folders give the classes."""
    if not scan.has_class_folders and not path.lower().endswith(".txt"):
        found.notes.append(f"no classes from a table: {problem}")


def _no_column(table: LabelTable, column: str) -> DatasetError:
    names = list(dict.fromkeys(name for row in table.rows() for name in row))
    near = did_you_mean(column, map(to_printable, names))
    return DatasetError(
        f"{table.name} has no column {column} (data.label_column)",
        f"{near} The columns are: {join_columns(names)}.".strip(),
    )


def _iter_labels(table: LabelTable, columns: ColumnChoice) -> Iterator[tuple[str, str]]:
    """Yield the file and the class of each row; "" for a row without a class."""
    for row in table.rows():
        cell = clean_cell(row.get(columns.file))
        if not cell:
            continue
        if len(columns.labels) == 1:
            yield cell, _to_label(row.get(columns.labels[0]))
        else:
            yield cell, to_printable("".join(list_marked(row, columns.labels)))


def _to_label(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(to_class_name, value)))
    return to_class_name(value)


def _accept(scan: LabelScan, found: Labelling, labels: TableLabels) -> None:
    """Use the labels of a table.

    Raises:
        DatasetError: It labels no image.
    """
    table, assignment = labels.table, labels.assignment
    if not assignment.labelled:
        raise no_image_labelled(scan, table.name, assignment.missing)
    found.classes, found.origin, found.failure = assignment.classes, table.name, None
    found.used.add(labels.path)
    for cell in assignment.missing:
        path = normpath(f"{parent_folder(labels.path)}{cell}")
        if path.startswith(scan.base):
            found.skipped[path] = f"listed in {table.name}, but missing"
    found.notes.append(_describe(scan, labels))


def _describe(scan: LabelScan, labels: TableLabels) -> str:
    """Return the note on the labels of a table: where they come from, and what is left out."""
    columns, table = labels.columns, labels.table
    parts = [f"classes from {table.name}"]
    if len(columns.labels) > 1:
        parts[0] += f", columns {join_columns(columns.labels[:3])}, ..."
    elif columns.labels[0] != DEFAULT_COLUMN:
        parts[0] += f", column {to_printable(columns.labels[0])}"
    if table.text.note:
        parts.append(f"{table.name} {table.text.note}")
    parts += describe_gaps(scan, labels.assignment)
    return "; ".join(parts)


def _file_name(path: str) -> str:
    return path.rpartition("/")[2].lower()


def _stem(name: str) -> str:
    return name.rpartition(".")[0].replace("-", "_").replace(" ", "_")
