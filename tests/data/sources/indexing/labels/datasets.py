"""Datasets of empty images and label files, as a folder, a zip and a tar."""

import io
import tarfile
import zipfile
from pathlib import Path

from iddm_cli.data.sources.archive_reader import read_archive
from iddm_cli.data.sources.indexing.index import Index, index_folder
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS, LabelOptions

KINDS = ("folder", "zip", "tar")


def build(
    root: Path, kind: str, files: dict[str, bytes | str], options: LabelOptions = DEFAULT_LABELS
) -> Index:
    """Write files as a dataset of a kind, and return its index."""
    contents = {n: c.encode() if isinstance(c, str) else c for n, c in files.items()}
    if kind == "folder":
        for name, content in contents.items():
            (root / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "set" / name).write_bytes(content)
        return index_folder(root / "set", options)
    place = root / f"set.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(place, "w") as tar:
            for name, content in contents.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return read_archive(place, options).index


def images(*names: str) -> dict[str, bytes | str]:
    return dict.fromkeys(names, b"")
