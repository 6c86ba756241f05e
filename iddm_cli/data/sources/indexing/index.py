"""The index of a dataset: which images it contains, and the class of each.

Classes come from folders or from a metadata table beside the images; `layouts` decides which
folders are classes.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iddm_cli.data.sources.indexing import metadata
from iddm_cli.data.sources.indexing.layouts.resolver import ResolvedLayout, resolve_layout
from iddm_cli.data.sources.indexing.listing import (
    IMAGE_SUFFIXES,
    METADATA_FILES,
    Listing,
    SkippedFile,
    list_folder,
    to_printable,
)
from iddm_cli.errors import DatasetError

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
    held_out: tuple[str, ...] = ()  # images left out as the held-out parts of a split


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
    layout = resolve_layout(listing.paths, listing.read_head, unwrap=unwrap)
    builder = _IndexBuilder(listing, layout)
    builder.report_empty_folders()
    return builder.index_by_table(label_column) or builder.index_by_folders()


class _IndexBuilder:
    """Determines the classes of the images of a layout."""

    def __init__(self, listing: Listing, layout: ResolvedLayout) -> None:
        self.listing = listing
        self.layout = layout
        self.base = layout.base
        self.paths = [path for path in listing.paths if path not in layout.skipped]
        self.skipped = list(listing.skipped)
        self.notes = list(layout.notes)
        for path, reason in layout.skipped.items():
            self.skip(path, reason)

    def report_empty_folders(self) -> None:
        """Report the folders that look like classes without images."""
        levels = set(self.layout.levels)
        reported = {name for name, _ in self.listing.skipped}
        with_images: set[str] = set()
        for path in self.listing.paths:
            folder = _parent_folder(path)[:-1]
            while folder and folder not in with_images:
                with_images.add(folder)
                folder = _parent_folder(folder)[:-1]
        for folder in self.listing.folders - with_images:
            if _parent_folder(folder) in levels and to_printable(folder) not in reported:
                self.skip(folder, "no image in this folder")

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

    def index_by_folders(self) -> Index:
        """Return the index with each folder as a class; without folders there are no classes."""
        class_of = self.layout.classes()
        loose = [path for path in self.layout.folder.images if class_of]
        beside = self.layout.beside | dict.fromkeys(loose, "outside the class folders")
        kept = [path for path in self.paths if path not in beside]
        for path, reason in beside.items():
            self.skip(path, reason)
        self.notes[:0] = self.layout.class_notes
        if beside:
            self.notes.append(f"images outside the folders used, left out: {len(beside):,}")
        if not class_of:
            return self.build(kept, [], [], "flat")
        names = [to_printable(class_of[path]) for path in kept]
        return self.build(kept, names, sorted(set(names), key=str.encode), "classes")

    def build(
        self, paths: Iterable[str], names: list[str], classes: list[str], layout: Layout
    ) -> Index:
        """Return the index of these paths, given the class name of each."""
        number = {name: label for label, name in enumerate(classes)}
        labels = tuple(number[name] for name in names)
        skipped = sorted(self.skipped, key=lambda skip: skip[0].encode())
        held_out = tuple(self.layout.held_out)
        return Index(tuple(paths), labels, tuple(classes), layout, skipped, self.notes, held_out)

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
