"""The label source of samples: 000000.png beside 000000.cls or 000000.json, as in webdataset.

The files of a sample have the same name up to the first dot: 000000.seg.png belongs to 000000, and
is not another image to train on.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence

from iddm_cli.data.sources.indexing.labels.assignment import Assignment, describe_gaps
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_COLUMN, Labelling, LabelScan
from iddm_cli.data.sources.indexing.labels.tables.table_rows import to_class_name
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

CLASS_SUFFIXES = ("cls", "cls.txt", "class.txt", "label.txt", "cls.json", "label.json")
CLASS_KEYS = (DEFAULT_COLUMN, "class", "cls", "category", "class_name", "target", "label_name")
CAPTIONS = ("txt", "caption.txt")
SUFFIXES = (".cls", ".json", ".txt")
SECOND_IMAGE = "another image of the same sample"


def find_sample_labels(scan: LabelScan) -> Labelling:
    """Return the labels in the files of each sample, if at least half of the images have one.

    Raises:
        DatasetError: A sample has several classes.
    """
    found = Labelling()
    key_of = _choose_key(scan.paths)
    sidecars: dict[str, list[str]] = defaultdict(list)
    for path in scan.files:
        if path.lower().endswith(SUFFIXES):
            sidecars[key_of(path)].append(path)
    images = _group_images(scan.paths, key_of)
    keys = [key for key in images if key in sidecars]
    if 2 * len(keys) < len(images):
        return found
    classes: dict[str, str] = {}
    use_json = not _has_named_folders(scan) or scan.options.column != DEFAULT_COLUMN
    captions = 0
    for key in keys:
        label = _find_class(scan, key, sidecars[key], use_json=use_json)
        captions += any(_suffix(path, key) in CAPTIONS for path in sidecars[key])
        if label is not None:
            classes[images[key][0]] = label
            found.used |= set(sidecars[key])
    others = len(images) - len(classes)
    if 2 * len(classes) < len(images):
        found.used.clear()
        if classes:
            found.notes.append(f"classes of {len(classes):,} of {len(images):,} samples are unused")
        return found
    found.classes, found.origin = classes, "the files beside each image"
    suffixes = sorted({_suffix(path, key_of(path)) for path in found.used} - {*CAPTIONS})
    gaps = describe_gaps(scan, Assignment(classes, [])) if others else []
    text = f"classes from a file beside each image (.{', .'.join(suffixes[:3])})"
    found.notes.append("; ".join([text, *gaps]))
    if captions:
        found.notes.append(f"captions in .txt files are not used: {captions:,}")
    for paths in images.values():
        found.skipped |= dict.fromkeys(paths[1:], SECOND_IMAGE)
    return found


def _choose_key(paths: Sequence[str]) -> Callable[[str], str]:
    """Return the function from a path to its sample: up to the first dot, if that is not a number.

    In img.001.png, the number belongs to the name.
    """
    numbered = any(path[len(_key(path)) + 1 :].partition(".")[0].isdecimal() for path in paths)
    return _stem if numbered else _key


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _group_images(paths: Sequence[str], key_of: Callable[[str], str]) -> dict[str, list[str]]:
    """Return the images of each sample; the first is the one to train on."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[key_of(path)].append(path)
    for images in groups.values():
        images.sort(key=lambda path: (path.count("."), path))
    return groups


def _key(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.partition('.')[0]}"


def _suffix(path: str, key: str) -> str:
    return path[len(key) + 1 :].lower()


def _has_named_folders(scan: LabelScan) -> bool:
    """Return whether folders are classes: facts in a JSON file beside each image are then less."""
    if not scan.has_class_folders:
        return False
    folders = {path[len(scan.base) :].partition("/")[0] for path in scan.paths}
    return not all(folder.isdecimal() for folder in folders)


def _find_class(scan: LabelScan, key: str, files: Sequence[str], *, use_json: bool) -> str | None:
    """Return the class in the files of a sample; None if they have none.

    Raises:
        DatasetError: There are several.
    """
    column = scan.options.column
    wanted = (column.lower(),) if column != DEFAULT_COLUMN else ()
    for suffix in (*wanted, *(f"{name}.txt" for name in wanted), *CLASS_SUFFIXES):
        for path in files:
            if _suffix(path, key) == suffix:
                return _read_class(scan.read(path), path, json_key=None)
    for path in files:
        if use_json and _suffix(path, key).endswith("json"):
            for json_key in wanted or CLASS_KEYS:
                label = _read_class(scan.read(path), path, json_key=json_key)
                if label is not None:
                    return label
    return None


def _read_class(content: bytes, path: str, *, json_key: str | None) -> str | None:
    """Return the class in a file, or under a key of it; None if there is none.

    Raises:
        DatasetError: There are several.
    """
    text = content.decode("utf-8-sig", "replace").strip()
    if json_key is None and not path.lower().endswith(".json"):
        return to_printable(text[:200].splitlines()[0].strip()) if text else None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if json_key is not None:
        value = value.get(json_key) if isinstance(value, dict) else None
    if isinstance(value, list) and len(value) > 1:
        raise DatasetError(
            f"{to_printable(path)} gives its image several classes: {str(value)[:100]}",
            "iddm takes one class for each image; data.label_column names another key, and "
            "data.conditional: false trains without classes.",
        )
    return to_class_name(value) or None
