"""Which column of a table names the image, and which columns hold its class."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from iddm_cli.data.sources.indexing.labels.file_matching import FileMatcher, clean_cell
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_COLUMN
from iddm_cli.data.sources.indexing.labels.tables.table_rows import LabelTable, Row, to_class_name
from iddm_cli.data.sources.indexing.listing import to_printable

FILE_COLUMN = "file_name"
FILE_COLUMNS = (
    *(FILE_COLUMN, "filename", "file", "filenames", "files", "file_names", "fname"),
    *("image", "images", "img", "image_name", "img_name", "imagename", "image_file", "imgname"),
    *("path", "filepath", "file_path", "paths", "filepaths", "image_path", "img_path", "imagepath"),
    *("image_id", "img_id", "imageid", "id_code", "isic_id", "image_index", "id", "name", "key"),
    *("image_url", "url", "photo", "photo_id", "uuid"),
)
"""Usual names of the column that names the image; the first that matches images is used."""
NAMES_OF_FILES = FILE_COLUMNS.index("id")
"""Those before it name nothing else."""

LABEL_COLUMNS = (
    *(DEFAULT_COLUMN, "labels", "class", "classes", "class_name", "classname", "label_name"),
    *("category", "categories", "category_name", "target", "species", "breed", "diagnosis", "dx"),
    *("finding_labels", "tag", "tags", "type", "kind", "genre", "style", "emotion", "variety"),
    *("finding", "disease", "defect", "grade", "level", "y", "gt", "ground_truth", "groundtruth"),
    *("class_id", "classid", "label_id", "category_id", "target_id", "class_index", "label_idx"),
    *("klasse", "etikett", "classe", "clase", "etiqueta", "etichetta", "etiquette"),
)
"""Usual names of the column that holds the class, best first."""

CAPTION_COLUMNS = (
    *("text", "caption", "captions", "prompt", "prompts", "description", "title", "comment"),
    *("url", "split", "set", "data_set", "dataset", "date", "width", "height", "size"),
)
"""Columns that never hold a class, unless data.label_column names them."""

ROW_NUMBERS = ("", "unnamed:_0", "index", "row")
"""Columns that only number the rows, as pandas writes them."""

COLUMNS_LISTED = 20
MAX_VALUES = 300
"""Number of different values from which a column is not counted any further."""
FEW_VALUES = 30
ROWS_MATCHED = 20_000
"""Rows whose cells are compared with the names of images to find the column of files."""
_ONE = {"1", "1.0", "1,0", "true"}
_ZERO = {"0", "0.0", "0,0", "false", "-1", ""}


@dataclass
class ColumnStats:
    """What the rows of a table hold in one column."""

    matches: int = 0
    """Cells that mean an image."""
    has_names: bool = False
    """Whether some of these cells are more than a number."""
    values: set[str] = field(default_factory=set)
    filled: int = 0
    has_lists: bool = False

    def add(self, value: object) -> None:
        """Count a cell."""
        self.has_lists |= isinstance(value, list) and len(value) > 1
        text = to_class_name(value)
        self.filled += bool(text)
        if len(self.values) <= MAX_VALUES:
            self.values.add(text)

    @property
    def is_binary(self) -> bool:
        """Return whether all cells are 0 or 1, or -1 or 1."""
        values = {value.lower() for value in self.values}
        return values <= _ONE | _ZERO and bool(values & _ONE)


@dataclass(frozen=True)
class ColumnChoice:
    """The columns of a table that are used, or why it gives no labels."""

    file: str = ""
    labels: tuple[str, ...] = ()
    """One column; or several, one for each class, of which one is 1 in each row."""
    others: tuple[str, ...] = ()
    """Further columns that data.label_column could name."""
    reason: str = ""
    """Why the table gives no labels; "" if it does."""
    lists_images: bool = False
    """Whether a column names images of the dataset."""
    is_certain: bool = False
    """Whether it names them surely: numbers of rows and images called 1.png may agree by chance."""


def normalize_column(name: str) -> str:
    """Return the name of a column in lower case, with underscores."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip().strip("\ufeff\"'"))
    return re.sub(r"[\s\-.]+", "_", spaced).lower()


def detect_header(table: LabelTable, matcher: FileMatcher) -> None:
    """Set whether the first line names columns: it does not if it names an image."""
    if table.is_json:
        return
    header = table.header()
    known = {normalize_column(cell) for cell in header} & {*FILE_COLUMNS, *LABEL_COLUMNS}
    named = (cell for cell in header if "." in cell or "/" in cell or "\\" in cell or not known)
    table.has_header = not any(matcher.find(cell) for cell in named)


def choose_columns(
    table: LabelTable, matcher: FileMatcher, column: str, *, strict: bool
) -> ColumnChoice:
    """Choose the column of files and the column of classes.

    Args:
        table: The table.
        matcher: Finds the images that cells mean.
        column: data.label_column.
        strict: Whether several classes in one cell are refused; else each combination is a class.

    Raises:
        DatasetError: The table is damaged.
    """
    stats = _collect(table.rows(), matcher)
    if not stats:
        return ColumnChoice(reason="it has no rows")
    file = _choose_file_column(stats, column)
    if file is None:
        listed = join_columns(stats)
        return ColumnChoice(reason=f"it has no column {FILE_COLUMN}, but {listed}")
    lists_images = stats[file].matches > 0
    is_certain = stats[file].has_names or normalize_column(file) in FILE_COLUMNS[:NAMES_OF_FILES]
    others = tuple(name for name in stats if name != file)
    choice = _choose_label_columns(table, stats, file, column, strict=strict)
    return ColumnChoice(file, choice.labels, others, choice.reason, lists_images, is_certain)


def _collect(rows: Iterable[Row], matcher: FileMatcher) -> dict[str, ColumnStats]:
    stats: dict[str, ColumnStats] = {}
    for number, row in enumerate(rows):
        for name, value in row.items():
            found = stats.setdefault(name, ColumnStats())
            found.add(value)
            if number < ROWS_MATCHED:
                is_match = matcher.find(value) is not None
                found.matches += is_match
                found.has_names |= is_match and not clean_cell(value).isdecimal()
    return stats


def _choose_file_column(stats: Mapping[str, ColumnStats], column: str) -> str | None:
    """Return the column that names the images: the usual name that matches, or the best match."""
    if FILE_COLUMN in stats:
        return FILE_COLUMN
    candidates = {name: found for name, found in stats.items() if name != column}
    most = max((found.matches for found in candidates.values()), default=0)
    order = {name: rank for rank, name in enumerate(FILE_COLUMNS)}
    usual = [name for name in candidates if normalize_column(name) in order]
    usual.sort(key=lambda name: order[normalize_column(name)])
    for name in usual:
        if 2 * candidates[name].matches >= max(most, 1):
            return name
    if most:
        return max(candidates, key=lambda name: candidates[name].matches)
    return usual[0] if usual else None


def _choose_label_columns(
    table: LabelTable, stats: dict[str, ColumnStats], file: str, column: str, *, strict: bool
) -> ColumnChoice:
    names = [name for name in stats if name != file and normalize_column(name) not in ROW_NUMBERS]
    if column in names:
        return _check_values(column, stats[column], strict=strict and column == DEFAULT_COLUMN)
    if column != DEFAULT_COLUMN:
        return ColumnChoice(reason=f"it has no column {column}")
    usual = _sort_usual(names)
    if usual:
        return _check_values(_prefer_names(usual, stats), stats[usual[0]], strict=strict)
    binary = tuple(name for name in names if stats[name].is_binary)
    if len(binary) > 1:
        return _check_one_hot(table, binary)
    if len(names) == 1 and not _is_caption(names[0], stats[names[0]]):
        return _check_values(names[0], stats[names[0]], strict=strict)
    few = [name for name in names if 1 < len(stats[name].values - {""}) <= FEW_VALUES]
    listed = join_columns(few or names)
    return ColumnChoice(
        reason=f"it has no column {DEFAULT_COLUMN}; data.label_column can name another: {listed}"
    )


def _sort_usual(names: Sequence[str]) -> list[str]:
    order = {name: rank for rank, name in enumerate(LABEL_COLUMNS)}
    usual = [name for name in names if normalize_column(name) in order]
    return sorted(usual, key=lambda name: order[normalize_column(name)])


def _prefer_names(usual: list[str], stats: Mapping[str, ColumnStats]) -> str:
    """Return the first usual column; or one with as many values that are names, not numbers."""
    first = stats[usual[0]]
    if usual[0] == DEFAULT_COLUMN or not all(value.isdecimal() for value in first.values):
        return usual[0]
    named = (
        name
        for name in usual[1:]
        if len(stats[name].values) == len(first.values)
        and not any(value.isdecimal() for value in stats[name].values)
    )
    return next(named, usual[0])


def _is_caption(name: str, found: ColumnStats) -> bool:
    """Return whether a column seems to hold texts of which each is about one image."""
    values = found.values - {""}
    too_many = len(values) > MAX_VALUES or (found.filled > 3 and len(values) > found.filled / 2)
    return normalize_column(name) in CAPTION_COLUMNS or too_many or not values


def _check_values(column: str, found: ColumnStats, *, strict: bool) -> ColumnChoice:
    """Return the choice of one column, unless its cells hold several classes."""
    several = _find_several(column, found) if strict else ""
    if not several:
        return ColumnChoice(labels=(column,))
    return ColumnChoice(
        reason=f"column {to_printable(column)} gives an image several classes, such as {several}; "
        f"data.label_column: {to_printable(column)} makes each combination a class"
        if column != DEFAULT_COLUMN
        else f"column {column} gives an image several classes, such as {several}; under another "
        "name, set as data.label_column, each combination is a class"
    )


def _find_several(column: str, found: ColumnStats) -> str:
    """Return a cell with several classes, of which some occur in other cells; "" without one."""
    if found.has_lists:
        return "a list"
    is_plural = normalize_column(column).endswith("s")
    for separator in ("|", ";", ",", *([" "] if is_plural else [])):
        several = [value for value in found.values if separator in value.strip(separator)]
        parts = [part.strip() for value in several for part in value.split(separator)]
        are_alone = not found.values.isdisjoint(parts)
        if several and all(parts) and (are_alone or (is_plural and len(set(parts)) < len(parts))):
            return min(several)
    return ""


def _check_one_hot(table: LabelTable, columns: tuple[str, ...]) -> ColumnChoice:
    """Return the choice of one column for each class, unless some row marks several."""
    for row in table.rows():
        marked = list_marked(row, columns)
        if len(marked) > 1:
            return ColumnChoice(
                reason=f"an image may have several classes (columns {join_columns(marked)} in one "
                f"row); data.label_column can name one column: {join_columns(columns)}"
            )
    return ColumnChoice(labels=columns)


def list_marked(row: Row, columns: Sequence[str]) -> list[str]:
    """Return the columns that are 1 in a row."""
    return [name for name in columns if to_class_name(row.get(name)).lower() in _ONE]


def join_columns(columns: Iterable[str]) -> str:
    """Join the names of the first COLUMNS_LISTED columns."""
    names = [to_printable(column) for column in islice(columns, COLUMNS_LISTED + 1)]
    more = ", ..." if len(names) > COLUMNS_LISTED else ""
    return ", ".join(names[:COLUMNS_LISTED]) + more or "none"
