"""Names of folders and files that people chose, where a file system takes them."""

import hashlib
from pathlib import Path

from iddm_cli.workflows.class_folders import SHORT_NAME_BYTES

MAX_NAME_BYTES = 200
"""Bytes of a folder name; a file name adds a number, and may have 255 bytes."""

REFUSED_LETTERS = '<>:"|?*\\'
"""FAT, SMB and Windows refuse them in the names of files."""

RESERVED_NAMES = ("", ".", "..", "grid.png", "manifest.json")


def class_folder_name(name: str, label: int) -> str:
    """Return the folder name of a class: its own name, where that is possible.

    Args:
        name: The class's name; any text, since dataset.json may come from another machine.
        label: The class's label.
    """
    return shorten_name(name) if is_file_name(name) else spare_folder_name(name, label)


def spare_folder_name(name: str, label: int) -> str:
    """Return the folder name of a class where its own name is not possible."""
    return f"class-{label}-{_digest(name)}"


def source_stem(path: str) -> str:
    """Return the beginning of the names of an image's variations: the stem of its own name.

    Args:
        path: Path of the image, of any text.
    """
    stem = "".join("_" if letter in REFUSED_LETTERS else letter for letter in Path(path).stem)
    return shorten_name(stem, SHORT_NAME_BYTES) if is_file_name(stem) else f"image-{_digest(path)}"


def shorten_name(name: str, most: int = MAX_NAME_BYTES) -> str:
    """Return a name of at most so many bytes; a digest distinguishes what is cut."""
    content = name.encode()
    if len(content) <= most:
        return name
    return f"{content[:most].decode(errors='ignore')}-{_digest(name)}"


def is_file_name(name: str) -> bool:
    """Return whether a text can name a file, and none that iddm writes."""
    if Path(name).name != name or name.lower() in RESERVED_NAMES:
        return False
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:10]
