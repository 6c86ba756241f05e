"""The index of a dataset: which images it contains, and the class of each.

Classes come from folders or from a metadata table beside the images. The images may lie in a
folder called `images`, or in the parts of a split, of which only the training part is used.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iddm_cli.data.sources.indexing import metadata
from iddm_cli.data.sources.indexing.listing import (
    IMAGE_SUFFIXES,
    METADATA_FILES,
    Listing,
    SkippedFile,
    list_folder,
    to_printable,
)
from iddm_cli.errors import DatasetError

TRAINING_SPLITS = {"train", "training"}
HELD_OUT_SPLITS = {"test", "testing", "val", "valid", "validation"}

Layout = Literal["classes", "table", "flat"]
"""Where the classes come from: folders, a metadata table, or nowhere."""


@dataclass(frozen=True)
class Index:
    """The images of a dataset."""

    paths: tuple[str, ...]  # "/" between the parts, sorted by their bytes
    labels: tuple[int, ...]  # class of each path; empty without classes
    classes: tuple[str, ...]
    layout: Layout
    skipped: list[SkippedFile]  # entries that are not in the index, with reasons
    notes: list[str]  # how the layout was understood, as sentences for the user


def index_folder(root: Path, label_column: str = metadata.DEFAULT_COLUMN) -> Index:
    """Return the images below a folder, with their classes if there are any.

    Raises:
        DatasetError: The folder does not exist, cannot be read, or contains no image.
    """
    _check_root(root)
    return build_index(list_folder(root), str(root), label_column)


def build_index(
    listing: Listing,
    name: str,
    label_column: str = metadata.DEFAULT_COLUMN,
    *,
    unwrap: bool = False,
) -> Index:
    """Determine the classes of the images listed, and the label of each image.

    Args:
        listing: The files and folders.
        name: Name of the dataset in messages.
        label_column: Column of a metadata table that holds the class.
        unwrap: Whether to ignore a single folder around all others, as most archives have.

    Raises:
        DatasetError: There is no image, or the metadata table is damaged.
    """
    if not listing.paths:
        raise _no_images(name, listing.skipped)
    layout = _LayoutResolver(listing)
    layout.report_empty_folders()
    if unwrap:
        layout.enter_wrappers()
    layout.enter_images()
    layout.enter_training_split()
    layout.enter_images()
    return layout.index_by_table(label_column) or layout.index_by_folders()


class _LayoutResolver:
    """Narrows a listing down to the images below `base`, and determines their classes.

    `base` is extended by each outer folder that turns out not to be a class.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.base = ""
        self.paths = listing.paths
        self.skipped = list(listing.skipped)
        self.notes: list[str] = []

    def report_empty_folders(self) -> None:
        """Report the folders directly below `base` that look like classes without images."""
        below = {path for path in self.listing.folders if path.startswith(self.base)}
        names = {path[len(self.base) :] for path in below}
        reported = {name for name, _ in self.skipped}
        for name in {name for name in names if "/" not in name} - self.top_folders():
            if to_printable(f"{self.base}{name}") not in reported:
                self.skip(f"{self.base}{name}", "no image in this folder")

    def enter_wrappers(self) -> None:
        """Enter each folder that contains all images."""
        while len(self.top_folders()) == 1 and "" not in self.top_folders():
            self.enter(next(iter(self.top_folders())), "outside the folder around all others")

    def enter_training_split(self) -> None:
        """Enter the training part if the folders are the parts of a split.

        A folder called "train" might as well be a class. So all folders must have the name of a
        part, and there must be several, or classes below them.
        """
        parts = self.top_folders()
        train = sorted(part for part in parts if part.lower() in TRAINING_SPLITS)
        only_parts = all(part.lower() in TRAINING_SPLITS | HELD_OUT_SPLITS | {""} for part in parts)
        has_classes = any(path.count("/") > 1 for path in self.relative_paths())
        if train and only_parts and (len(parts - {""}) > 1 or has_classes):
            others = ", ".join(sorted(to_printable(part) for part in parts - {train[0], ""}))
            self.enter(train[0], "belongs to another part of a split than the training part")
            ignored = f"; {others} is ignored" if others else ""
            self.notes.append(f"a split: only {to_printable(train[0])} is used{ignored}")

    def index_by_table(self, column: str) -> Index | None:
        """Return the index by the nearest metadata table with labels; None without one.

        Raises:
            DatasetError: A column is configured, and there is no table.
        """
        labels: dict[str, str] | None = None
        chosen = ""
        for table in sorted(self.listing.metadata, key=lambda path: (-path.count("/"), path)):
            if not self.base.startswith(_parent_folder(table)):
                self.skip(table, "a table of labels, but not beside the images used")
            elif labels is not None:
                self.skip(table, f"a table of labels, but {to_printable(chosen)} is nearer")
            else:
                content = metadata.read_labels(self.listing.read(table), table, column)
                if isinstance(content, dict):
                    labels, chosen = content, table
                else:
                    self.skip(table, content)
        if labels is not None:
            return self.apply_table(labels, chosen)
        if column != metadata.DEFAULT_COLUMN:
            raise DatasetError(
                f"data.label_column is {column}, but there is no table of labels",
                f"Put {' or '.join(METADATA_FILES)} beside the images, or remove the setting.",
            )
        return None

    def apply_table(self, table: dict[str, str], name: str) -> Index:
        """Return the index of the images that a table assigns a class.

        Raises:
            DatasetError: There is no such image.
        """
        folder = _parent_folder(name)
        labels_of = {_compose(f"{folder}{file}"): label for file, label in table.items()}
        kept, labels = [], []
        for path in self.paths:
            label = labels_of.pop(_compose(path), None)
            if label:
                kept.append(path)
                labels.append(label)
            elif label is None:
                self.skip(path, f"not in {to_printable(name)}")
            else:
                self.skip(path, "without a class")
        for missing in labels_of:
            if missing.startswith(self.base):
                self.skip(missing, f"listed in {to_printable(name)}, but missing")
        if not kept:
            raise DatasetError(
                f"{to_printable(name)} assigns a class to none of the images",
                f"Its column {metadata.FILE_COLUMN} must hold paths relative to the table.",
            )
        self.notes.append(f"classes from {to_printable(name)}")
        return self.build(kept, labels, metadata.sort_classes(set(labels)), "table")

    def enter_images(self) -> None:
        """Enter the folder called `images` if there is no other."""
        if self.top_folders() - {""} == {"images"}:
            self.enter("images", "outside the folder images")

    def index_by_folders(self) -> Index:
        """Return the index with each folder as a class; without folders there are no classes."""
        in_folders = [path for path in self.paths if "/" in path[len(self.base) :]]
        loose = len(self.paths) - len(in_folders)
        if not in_folders or (self.base.endswith("images/") and loose):
            return self.build(self.paths, [], [], "flat")
        for path in self.paths:
            if "/" not in path[len(self.base) :]:
                self.skip(path, "outside the class folders")
        names = [to_printable(path[len(self.base) :].split("/", 1)[0]) for path in in_folders]
        return self.build(in_folders, names, sorted(set(names), key=str.encode), "classes")

    def build(
        self, paths: Iterable[str], names: list[str], classes: list[str], layout: Layout
    ) -> Index:
        """Return the index of these paths, given the class name of each."""
        number = {name: label for label, name in enumerate(classes)}
        labels = tuple(number[name] for name in names)
        skipped = sorted(self.skipped, key=lambda skip: skip[0].encode())
        return Index(tuple(paths), labels, tuple(classes), layout, skipped, self.notes)

    def enter(self, folder: str, reason: str) -> None:
        """Continue below a folder; images elsewhere are skipped for this reason."""
        self.base += f"{folder}/"
        inside = [path for path in self.paths if path.startswith(self.base)]
        for path in sorted(set(self.paths) - set(inside)):
            self.skip(path, reason)
        self.paths = inside
        self.report_empty_folders()

    def relative_paths(self) -> list[str]:
        """Return the paths relative to `base`."""
        return [path[len(self.base) :] for path in self.paths]

    def top_folders(self) -> set[str]:
        """Return the folders directly below `base`; "" stands for images outside of any."""
        return {path.split("/", 1)[0] if "/" in path else "" for path in self.relative_paths()}

    def skip(self, path: str, reason: str) -> None:
        """Record an entry that is not in the index."""
        self.skipped.append((to_printable(path), reason))


def _parent_folder(path: str) -> str:
    """Return the folder of a file, with a slash at its end; "" at the top."""
    return path[: path.rfind("/") + 1]


def _compose(name: str) -> str:
    """Compose accented letters: systems differ in how they write the same name."""
    return unicodedata.normalize("NFC", name)


def _check_root(root: Path) -> None:
    if not root.exists():
        raise DatasetError(f"the dataset folder {root} does not exist", "Check data.path.")
    if not root.is_dir():
        raise DatasetError(
            f"{root} is neither a folder of images nor a supported archive",
            "Set data.path to a folder of images, or to a .zip or .tar of one.",
        )


def _no_images(name: str, skipped: list[SkippedFile]) -> DatasetError:
    unreadable = [reason for path, reason in skipped if path == "."]
    if unreadable:
        return DatasetError(f"the dataset folder {name} {unreadable[0]}", "Check its permissions.")
    return DatasetError(
        f"{name} contains no image (skipped files: {len(skipped)})",
        f"File names of images end in {', '.join(IMAGE_SUFFIXES)}.",
    )
