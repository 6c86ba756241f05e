"""What tests of the index share: a folder of empty files, and the class of each."""

from pathlib import Path

from iddm_cli.data.sources.indexing.index import Index


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def pairs(found: Index) -> dict[str, str]:
    """Class of each image."""
    classes = [found.classes[label] for label in found.labels]
    return dict(zip(found.paths, classes, strict=True))
