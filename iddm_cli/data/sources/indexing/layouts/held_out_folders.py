"""Held-out folders of a split, and which of them measure the quality of a model.

Validation images come first, so that test images stay untouched for a last comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from iddm_cli.data.sources.indexing.layouts.folder_tree import Folder, merge_folders
from iddm_cli.data.sources.indexing.layouts.splits import find_use, parse_part


@dataclass(frozen=True)
class HeldOutFolder:
    """A folder of a split that is not trained on.

    Attributes:
        name: Its name.
        folder: Its images.
        owner: The class that all of them have, as in cat/val beside cat/train; "" if its own
            folders are classes, or there are none.
    """

    name: str
    folder: Folder
    owner: str


@dataclass(frozen=True)
class SelectedPart:
    """The folder, or the merged folders, that measure quality.

    Attributes:
        name: Name of the part.
        folder: Its images, with a folder for each class if `has_owners`.
        has_owners: Whether the classes are those that the folders lie in.
    """

    name: str
    folder: Folder
    has_owners: bool


def select_part(parts: Sequence[HeldOutFolder]) -> SelectedPart | None:
    """Return the validation part, else the test part, else None.

    Where several names mean one, the plainest is taken: `val` of `val` and `val_extra`.
    """
    for use in ("validation", "test"):
        found = [part for part in parts if find_use(part.name) == use and part.folder.count()]
        if owned := [part for part in found if part.owner]:
            return SelectedPart(_join_names(owned), _group_by_owner(owned), has_owners=True)
        if found:
            name = min((part.name for part in found), key=_plainness)
            same = [part.folder for part in found if part.name == name]
            folder = same[0] if len(same) == 1 else merge_folders(same, "")
            return SelectedPart(name, folder, has_owners=False)
    return None


def _plainness(name: str) -> tuple[int, str]:
    part = parse_part(name)
    return len(part.stem) if part else 0, name


def _join_names(parts: Sequence[HeldOutFolder]) -> str:
    return ", ".join(dict.fromkeys(part.name for part in parts))


def _group_by_owner(parts: Sequence[HeldOutFolder]) -> Folder:
    """Return a folder with one folder for each class."""
    root = Folder("")
    for part in parts:
        images = root.folders.setdefault(part.owner, Folder(f"{part.owner}/")).images
        images += part.folder.iter_images()
    return root
