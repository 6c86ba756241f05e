"""The index of a dataset: which pictures there are, and of which class each is.

A dataset says its classes by folders, or by a table beside the pictures; and may be wrapped in a
folder `images`, or in the parts of a split, of which the training part is learnt.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iddm_cli.data.sources.indexing import metadata
from iddm_cli.data.sources.indexing.listing import (
    METADATA,
    SUFFIXES,
    Listing,
    SkippedFile,
    list_folder,
    to_printable,
)
from iddm_cli.errors import DatasetError

TRAINING = {"train", "training"}
HELD_OUT = {"test", "testing", "val", "valid", "validation"}


@dataclass(frozen=True)
class Index:
    """The pictures of a dataset."""

    paths: tuple[str, ...]  # "/" between the parts, sorted by their bytes
    labels: tuple[int, ...]  # class of each path; empty where there are no classes
    classes: tuple[str, ...]
    layout: Literal["classes", "table", "flat"]
    skipped: list[SkippedFile]  # what is no picture, and why
    notes: list[str]  # what was understood about the layout, in sentences


def index_folder(root: Path, label_column: str = metadata.DEFAULT_COLUMN) -> Index:
    """List the pictures of a folder, and its classes if it has any.

    Raises:
        DatasetError: There is no such folder, it cannot be read, or holds nothing to train on.
    """
    _check_root(root)
    return arrange(list_folder(root), str(root), label_column)


def arrange(
    listing: Listing,
    name: str,
    label_column: str = metadata.DEFAULT_COLUMN,
    *,
    wrapped: bool = False,
) -> Index:
    """Decide what the classes of the pictures listed are, and give each picture its label.

    Args:
        listing: What was found.
        name: What the dataset is called in messages.
        label_column: Where a table beside the pictures says the class.
        wrapped: Whether a single folder around all others is passed over, as in most archives.

    Raises:
        DatasetError: There is no picture, or the table of labels is damaged.
    """
    if not listing.paths:
        raise _nothing_found(name, listing.skipped)
    plan = _Plan(listing)
    plan.tell_empty_folders()
    if wrapped:
        plan.unwrap()
    plan.enter_images()
    plan.choose_split()
    plan.enter_images()
    return plan.by_table(label_column) or plan.by_folders()


class _Plan:
    """The pictures below `base`, which grows as outer folders turn out to be no classes."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.base = ""
        self.paths = listing.paths
        self.skipped = list(listing.skipped)
        self.notes: list[str] = []

    def tell_empty_folders(self) -> None:
        """Tell which folders just below the base look like classes and hold nothing."""
        below = {path for path in self.listing.folders if path.startswith(self.base)}
        names = {path[len(self.base) :] for path in below}
        told = {name for name, _ in self.skipped}
        for name in {name for name in names if "/" not in name} - self.tops():
            if to_printable(f"{self.base}{name}") not in told:
                self.skip(f"{self.base}{name}", "no picture in this folder")

    def unwrap(self) -> None:
        """Enter a folder around all others."""
        while len(self.tops()) == 1 and "" not in self.tops():
            self.enter(next(iter(self.tops())), "lies beside the folder around all others")

    def choose_split(self) -> None:
        """Enter the training part, where the folders are the parts of a split.

        They would pass for classes; so they must bear such names only, and be several, or hold
        classes themselves.
        """
        parts = self.tops()
        train = sorted(part for part in parts if part.lower() in TRAINING)
        only_parts = all(part.lower() in TRAINING | HELD_OUT | {""} for part in parts)
        has_classes = any(path.count("/") > 1 for path in self.within())
        if train and only_parts and (len(parts - {""}) > 1 or has_classes):
            others = ", ".join(sorted(to_printable(part) for part in parts - {train[0], ""}))
            self.enter(train[0], "belongs to another part of a split than the training part")
            left = f"; {others} is left out" if others else ""
            self.notes.append(f"a split: only {to_printable(train[0])} is learnt{left}")

    def by_table(self, column: str) -> Index | None:
        """Take the classes from a table, if there is one about them: the nearest one.

        Raises:
            DatasetError: A column is asked for, and there is no table.
        """
        labels: dict[str, str] | None = None
        chosen = ""
        for table in sorted(self.listing.metadata, key=lambda path: (-path.count("/"), path)):
            if not self.base.startswith(_folder(table)):
                self.skip(table, "a table of labels, but not beside the pictures learnt")
            elif labels is not None:
                self.skip(table, f"a table of labels, but {to_printable(chosen)} is nearer")
            else:
                found = metadata.read_labels(self.listing.read(table), table, column)
                if isinstance(found, dict):
                    labels, chosen = found, table
                else:
                    self.skip(table, found)
        if labels is not None:
            return self.labelled(labels, chosen)
        if column != metadata.DEFAULT_COLUMN:
            raise DatasetError(
                f"data.label_column is {column}, but there is no table of labels.",
                f"Put {' or '.join(METADATA)} beside the pictures, or leave it out.",
            )
        return None

    def labelled(self, table: dict[str, str], name: str) -> Index:
        """Keep the pictures that a table gives a class."""
        folder = _folder(name)
        labels_of = {_composed(f"{folder}{file}"): label for file, label in table.items()}
        kept, labels = [], []
        for path in self.paths:
            label = labels_of.pop(_composed(path), None)
            if label:
                kept.append(path)
                labels.append(label)
            else:
                self.skip(
                    path, f"not in {to_printable(name)}" if label is None else "without a class"
                )
        for missing in labels_of:
            if missing.startswith(self.base):
                self.skip(missing, f"listed in {to_printable(name)}, but not there")
        if not kept:
            raise DatasetError(
                f"No picture is both there and given a class in {to_printable(name)}.",
                "Its column file_name holds paths relative to it.",
            )
        self.notes.append(f"classes from {to_printable(name)}")
        return self.index(kept, labels, metadata.class_order(set(labels)), "table")

    def enter_images(self) -> None:
        """Enter a folder called images, where there is no other."""
        if self.tops() - {""} == {"images"}:
            self.enter("images", "lies beside the folder images")

    def by_folders(self) -> Index:
        """Take the names of folders for classes; without folders there are no classes."""
        folders = [path for path in self.paths if "/" in path[len(self.base) :]]
        loose = len(self.paths) - len(folders)
        if not folders or (self.base.endswith("images/") and loose):
            return self.index(self.paths, [], [], "flat")
        for path in self.paths:
            if "/" not in path[len(self.base) :]:
                self.skip(path, "lies beside the class folders")
        names = [to_printable(path[len(self.base) :].split("/", 1)[0]) for path in folders]
        return self.index(folders, names, sorted(set(names), key=str.encode), "classes")

    def index(
        self,
        paths: Iterable[str],
        names: list[str],
        classes: list[str],
        layout: Literal["classes", "table", "flat"],
    ) -> Index:
        """Return the index."""
        number = {name: label for label, name in enumerate(classes)}
        labels = tuple(number[name] for name in names)
        skipped = sorted(self.skipped, key=lambda skip: skip[0].encode())
        return Index(tuple(paths), labels, tuple(classes), layout, skipped, self.notes)

    def enter(self, folder: str, reason: str) -> None:
        """Go on below a folder; what lies elsewhere is left out."""
        self.base += f"{folder}/"
        inside = [path for path in self.paths if path.startswith(self.base)]
        for path in sorted(set(self.paths) - set(inside)):
            self.skip(path, reason)
        self.paths = inside
        self.tell_empty_folders()

    def within(self) -> list[str]:
        """Return the paths below the base."""
        return [path[len(self.base) :] for path in self.paths]

    def tops(self) -> set[str]:
        """Return the folders just below the base; "" stands for pictures that lie in none."""
        return {path.split("/", 1)[0] if "/" in path else "" for path in self.within()}

    def skip(self, path: str, reason: str) -> None:
        self.skipped.append((to_printable(path), reason))


def _folder(path: str) -> str:
    """Return the folder that a file lies in, with its slash; "" at the top."""
    return path[: path.rfind("/") + 1]


def _composed(name: str) -> str:
    """Spell letters with accents as one: two systems may write one name differently."""
    return unicodedata.normalize("NFC", name)


def _check_root(root: Path) -> None:
    if not root.exists():
        raise DatasetError(f"The dataset folder {root} does not exist.", "Check data.path.")
    if not root.is_dir():
        raise DatasetError(
            f"{root} is neither a folder of pictures nor an archive that is read.",
            "Give a folder that holds pictures, or a .zip or .tar of one.",
        )


def _nothing_found(name: str, skipped: list[SkippedFile]) -> DatasetError:
    unread = [reason for path, reason in skipped if path == "."]
    if unread:
        return DatasetError(f"The dataset folder {name} {unread[0]}.", "Check its permissions.")
    return DatasetError(
        f"There is no picture in {name} (passed over: {len(skipped)}).",
        f"Pictures end in {', '.join(SUFFIXES)}.",
    )
