"""The label source of JSON files: dataset.json of EDM and StyleGAN, and objects like it.

{"labels": [["00000/img00000000.png", 3], ...]}      numbers, names, or one-hot vectors
{"labels": {"a.png": "cat", ...}}  {"labels": null}  no classes: folders are only shards
{"a.png": "cat", ...}              in labels.json
"""

import json
from collections.abc import Iterator

from iddm_cli.data.sources.indexing.labels.assignment import (
    CONDITIONAL_HINT,
    assign_classes,
    describe_gaps,
    no_image_labelled,
)
from iddm_cli.data.sources.indexing.labels.file_matching import FileMatcher
from iddm_cli.data.sources.indexing.labels.labelling import Labelling, LabelScan, parent_folder
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

EDM_FILE = "dataset.json"
JSON_FILES = (EDM_FILE, "labels.json", "label.json", "train_labels.json", "class_labels.json")
NAME_KEYS = ("class_names", "label_names", "classes", "names", "categories")


def find_json_labels(scan: LabelScan) -> Labelling:
    """Return the labels of the nearest JSON file that has any.

    Raises:
        DatasetError: It is damaged, its labels are not classes, or it labels no image.
    """
    found = Labelling()
    for path in sorted(scan.files, key=lambda path: (-path.count("/"), path)):
        name = path.rpartition("/")[2].lower()
        if found.classes is None and name in JSON_FILES and scan.is_around(path):
            _read_json(scan, path, found)
    return found


def _read_json(scan: LabelScan, path: str, found: Labelling) -> None:
    origin = to_printable(path)
    content = _parse(scan.read(path), origin)
    labels = content.get("labels", _MISSING) if isinstance(content, dict) else content
    if labels is _MISSING and not path.lower().endswith(EDM_FILE):
        labels = content
    is_rows = isinstance(content, list) and all(isinstance(entry, dict) for entry in content)
    if labels is _MISSING or is_rows or not isinstance(labels, dict | list | None):
        found.skipped[path] = "not a file of labels: it has no key labels"
        return
    found.used.add(path)
    found.origin = origin
    if labels is None:
        found.classes, found.is_unlabelled = {}, True
        found.notes.append(f"no classes: the labels in {origin} are null")
        return
    matcher = FileMatcher(scan.paths, scan.all_paths, parent_folder(path))
    try:
        assignment = assign_classes(_iter_pairs(labels, origin), matcher, origin)
    except DatasetError:
        if scan.options.required:
            raise
        found.classes, found.is_unlabelled = {}, True
        return
    if not assignment.labelled:
        raise no_image_labelled(scan, origin, assignment.missing)
    found.classes = assignment.classes
    found.notes.append("; ".join([f"classes from {origin}", *describe_gaps(scan, assignment)]))
    if isinstance(content, dict):
        found.class_names = next((content[key] for key in NAME_KEYS if key in content), None)


_MISSING = object()


def _parse(content: bytes, origin: str) -> object:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{origin} cannot be read: it is not JSON: {str(error)[:200]}",
            'It must hold {"labels": [["00000/0.png", 3], ...]}; correct or remove it.',
        ) from error


def _iter_pairs(labels: dict[str, object] | list[object], origin: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the class of each entry.

    Raises:
        DatasetError: An entry is not a name and a class.
    """
    entries = list(labels.items()) if isinstance(labels, dict) else labels
    for entry in entries:
        pair = list(entry) if isinstance(entry, list | tuple) else []
        if len(pair) != 2 or not isinstance(pair[0], str):
            raise DatasetError(
                f"{origin} has an entry that is not a file and its class: {str(entry)[:100]!r}",
                'Each entry of labels must look like ["00000/0.png", 3]; correct or remove the '
                "file.",
            )
        yield pair[0].replace("\\", "/"), _to_class(pair[1], origin)


def _to_class(label: object, origin: str) -> str:
    """Return the class of a label: a name, a number, or the position of the 1 of a vector.

    Raises:
        DatasetError: It is a vector that does not stand for one class.
    """
    if label is None:
        return ""
    if isinstance(label, list):
        values = [float(value) for value in label if isinstance(value, int | float)]
        if len(values) == len(label) and sorted(values) == [0.0] * (len(values) - 1) + [1.0]:
            return str(values.index(1.0))
        raise DatasetError(
            f"{origin} gives an image a vector of {len(label)} numbers, not a class",
            "iddm takes one class for each image: write its number or name; or set "
            f"data.label_pattern; {CONDITIONAL_HINT}.",
        )
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return to_printable(str(label).strip()) if isinstance(label, str | int | float) else ""
