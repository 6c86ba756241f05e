"""Names of classes that are numbers in a label file: from the file itself or from one beside it."""

import json
import re
from collections.abc import Callable

from iddm_cli.data.sources.indexing.labels.labelling import Labelling, LabelScan
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

NAME_FILES = (
    *("classes.txt", "class_names.txt", "classnames.txt", "label_names.txt", "names.txt"),
    *("labels.txt", "categories.txt", "classes.json", "class_names.json", "label_names.json"),
    *("class_to_idx.json", "idx_to_class.json", "id2label.json", "label2id.json", "label_map.json"),
    *("class_indices.json", "class_index.json", "label_num_to_disease_map.json", "names.json"),
)
MAX_CLASSES = 10**6
_NUMBERED_LINE = re.compile(r"\s*(\d+)\s*[:,;\t ]\s*(\S.*)")


def name_numbers(scan: LabelScan, found: Labelling) -> None:
    """Replace classes that are numbers by their names, where these are known for all of them."""
    numbers = {label for label in (found.classes or {}).values() if label}
    if not numbers or not all(label.isdecimal() and len(label) < 7 for label in numbers):
        return
    names = parse_names(found.class_names)
    if not _fits(names, numbers):
        names = _find_names_file(scan, found, numbers)
    if not names or found.classes is None:
        return
    found.classes = {path: names[int(n)] if n else "" for path, n in found.classes.items()}
    found.order = [names[number] for number in sorted(set(map(int, numbers)))]


def _find_names_file(scan: LabelScan, found: Labelling, numbers: set[str]) -> dict[int, str]:
    """Return the names in a file beside the images or above them, if there is one that fits."""
    for path in sorted(scan.files, key=lambda path: -path.count("/")):
        name = path.rpartition("/")[2].lower()
        if name in NAME_FILES and scan.is_around(path) and path not in found.used:
            names = _read_names(scan.read, path)
            if _fits(names, numbers):
                found.used.add(path)
                found.skipped.pop(path, None)
                found.notes.append(f"class names from {to_printable(path)}")
                return names
    return {}


def _fits(names: dict[int, str], numbers: set[str]) -> bool:
    """Return whether there is a name for each number, and no name occurs twice."""
    return set(map(int, numbers)) <= names.keys() and len(set(names.values())) == len(names)


def _read_names(read: Callable[[str], bytes], path: str) -> dict[int, str]:
    try:
        text = read(path).decode("utf-8-sig")
        return parse_names(json.loads(text) if path.lower().endswith(".json") else text)
    except (ValueError, RecursionError, DatasetError):
        return {}


def parse_names(content: object) -> dict[int, str]:
    """Return the name of each number, from a list, an object in either direction, or lines."""
    pairs: list[tuple[object, object]] = []
    if isinstance(content, str):
        lines = [line.strip() for line in content.splitlines() if line.strip()]
        numbered = [_NUMBERED_LINE.fullmatch(line) for line in lines]
        if lines and all(numbered):
            pairs = [(match[1], match[2]) for match in numbered if match]
        else:
            pairs = list(enumerate(lines))
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    elif isinstance(content, dict):
        is_inverse = all(isinstance(value, int) for value in content.values())
        pairs = [(v, k) if is_inverse else (k, v) for k, v in content.items()]
    names: dict[int, str] = {}
    for number, name in pairs:
        if isinstance(name, list) and name:  # ImageNet: {"0": ["n01440764", "tench"]}
            name = name[-1]
        if not str(number).isdecimal() or not isinstance(name, str) or not name.strip():
            return {}
        names[int(str(number)[:7])] = to_printable(name.strip())
    return names if len(names) <= MAX_CLASSES else {}
