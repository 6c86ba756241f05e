"""The label source of tables: metadata.csv or metadata.jsonl beside the images or above them."""

import unicodedata

from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_COLUMN, Labelling, LabelScan
from iddm_cli.data.sources.indexing.labels.table_rows import FILE_COLUMN, read_labels
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

TABLE_NAMES = ("metadata.csv", "metadata.jsonl")


def find_table_labels(scan: LabelScan) -> Labelling:
    """Return the labels of the nearest table that has any.

    Raises:
        DatasetError: The table is damaged, or a column is configured and there is no table.
    """
    found = Labelling()
    tables = [path for path in scan.files if path.rpartition("/")[2].lower() in TABLE_NAMES]
    for table in sorted(tables, key=lambda path: (-path.count("/"), path)):
        if not scan.base.startswith(_parent_folder(table)):
            found.skipped[table] = "a table of labels, but not beside the images used"
        elif found.classes is not None:
            found.skipped[table] = f"a table of labels, but {found.origin} is nearer"
        else:
            content = read_labels(scan.read(table), table, scan.options.column)
            if isinstance(content, dict):
                _assign(found, scan, table, content)
            else:
                found.skipped[table] = content
    if found.classes is None and scan.options.column != DEFAULT_COLUMN:
        raise DatasetError(
            f"data.label_column is {scan.options.column}, but there is no table of labels",
            f"Put {' or '.join(TABLE_NAMES)} beside the images, or remove the setting.",
        )
    return found


def _assign(found: Labelling, scan: LabelScan, table: str, labels: dict[str, str]) -> None:
    """Assign the labels of a table to the images.

    Raises:
        DatasetError: It labels none of them.
    """
    folder = _parent_folder(table)
    labels_of = {_compose(f"{folder}{file}"): label for file, label in labels.items()}
    given = {path: labels_of.pop(_compose(path), None) for path in scan.paths}
    found.classes = {path: label for path, label in given.items() if label is not None}
    found.origin = to_printable(table)
    found.used.add(table)
    for missing in labels_of:
        if missing.startswith(scan.base):
            found.skipped[missing] = f"listed in {found.origin}, but missing"
    if not any(found.classes.values()):
        raise DatasetError(
            f"{found.origin} assigns a class to none of the images",
            f"Its column {FILE_COLUMN} must hold paths relative to the table.",
        )
    found.notes.append(f"classes from {found.origin}")


def _parent_folder(path: str) -> str:
    """Return the folder of a file, with a slash at its end; "" at the top."""
    return path[: path.rfind("/") + 1]


def _compose(name: str) -> str:
    """Compose accented letters: systems differ in how they write the same name."""
    return unicodedata.normalize("NFC", name)
