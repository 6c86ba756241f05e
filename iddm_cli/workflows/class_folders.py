"""The folders of generated images, one per class, on file systems that refuse some names.

FAT, SMB and Windows refuse names such as `a:b` and `con`, encrypted folders long ones, and many
file systems take `Cat` and `cat` for the same name.
"""

import contextlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

FILE_NAME_BYTES = 16
"""Most bytes that the name of an image adds to that of its class."""

SHORT_NAME_BYTES = 96
"""Every file system allows names of this length, with those bytes added."""


def create_class_folders(
    root: Path, names: Mapping[int, str], spare_names: Mapping[int, str]
) -> dict[int, str]:
    """Create a folder for each label.

    Args:
        root: The folder to create them in.
        names: The wanted name of each label's folder.
        spare_names: The name where the file system refuses that one, or takes it for another.

    Returns:
        The name of each label's folder.

    Raises:
        OSError: They cannot be created.
    """
    chosen = {
        label: name if _create(root, name) else _create_spare(root, name, spare_names[label])
        for label, name in names.items()
    }
    for label in _find_clashes(root, chosen):
        chosen[label] = _create_spare(root, chosen[label], spare_names[label])
    return chosen


def _create(root: Path, name: str) -> bool:
    """Create a folder; return False if the file system refuses its name, or those of images."""
    folder = root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        size = len(os.fsencode(name))
        if size > SHORT_NAME_BYTES:
            longest = folder / ("x" * (size + FILE_NAME_BYTES))
            longest.touch()
            longest.unlink()
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return False
    return True


def _create_spare(root: Path, name: str, spare: str) -> str:
    try:
        (root / spare).mkdir(parents=True, exist_ok=True)
    except OSError:
        (root / name).mkdir(parents=True, exist_ok=True)  # raises the error of the wanted name
    return spare


def _find_clashes(root: Path, names: Mapping[int, str]) -> list[int]:
    """Return the labels whose folder is that of another label, by case or by dots at its end."""
    groups: dict[str, list[int]] = defaultdict(list)
    for label, name in names.items():
        groups[unicodedata.normalize("NFC", name).casefold().rstrip(". ")].append(label)
    doubtful = [labels for labels in groups.values() if len(labels) > 1]
    listed = _list_names(root) if doubtful else set()
    return [
        label
        for labels in doubtful
        if not listed.issuperset(names[label] for label in labels)
        for label in labels[1:]
    ]


def _list_names(root: Path) -> set[str]:
    return {entry.name for entry in root.iterdir()}
