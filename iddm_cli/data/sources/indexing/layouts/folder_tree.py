"""The folders of a dataset as a tree, in which layouts are recognised."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass
class Folder:
    """A folder that contains images, directly or below."""

    path: str
    """Path below the dataset, with a slash at its end; "" for the dataset itself."""

    images: list[str] = field(default_factory=list)
    """Paths of the images directly in it."""

    folders: dict[str, "Folder"] = field(default_factory=dict)
    """The folders directly in it that contain images, by their names."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path[:-1].rpartition("/")[2]

    def iter_folders(self) -> Iterator["Folder"]:
        """Yield this folder and all below, each before those in it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting.extend(reversed(folder.folders.values()))

    def iter_images(self) -> Iterator[str]:
        """Yield the paths of all images in it and below."""
        for folder in self.iter_folders():
            yield from folder.images

    def count(self) -> int:
        """Return the number of images in it and below."""
        return sum(len(folder.images) for folder in self.iter_folders())


def build_tree(paths: Iterable[str]) -> Folder:
    """Return the tree of the folders of these images."""
    root = Folder("")
    known = {"": root}
    for path in paths:
        _find_folder(known, path[: path.rfind("/") + 1]).images.append(path)
    return root


def merge_folders(folders: Iterable[Folder], path: str) -> Folder:
    """Return one folder with the content of several; folders of the same name become one."""
    merged = Folder(path)
    waiting = [(merged, folder) for folder in folders]
    while waiting:
        target, folder = waiting.pop(0)
        target.images += folder.images
        for name, child in folder.folders.items():
            inner = target.folders.setdefault(name, Folder(child.path))
            waiting.append((inner, child))
    return merged


def _find_folder(known: dict[str, Folder], path: str) -> Folder:
    """Return the folder of this path; create it, and those around it, if it is new."""
    missing = []
    while path not in known:
        missing.append(path)
        path = path[: path[:-1].rfind("/") + 1]
    folder = known[path]
    for inner in reversed(missing):
        folder = folder.folders.setdefault(inner[len(path) : -1], Folder(inner))
        known[inner], path = folder, inner
    return folder
