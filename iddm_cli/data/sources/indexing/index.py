"""The index of a dataset: which images it contains, and the class of each.

Classes come from folders, or from a label source such as a table beside the images. The images may
lie in a folder called `images`, or in the parts of a split, of which only the training part is
used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iddm_cli.data.decoding.formats.left_out import (
    describe_left_out,
    explain_dataset_file,
    explain_name,
)
from iddm_cli.data.decoding.formats.table import IMAGE_SUFFIXES
from iddm_cli.data.sources.indexing.labels.label_sources import find_labels
from iddm_cli.data.sources.indexing.labels.labelling import (
    DEFAULT_LABELS,
    Labelling,
    LabelOptions,
    LabelScan,
)
from iddm_cli.data.sources.indexing.labels.table_rows import sort_classes
from iddm_cli.data.sources.indexing.listing import (
    Listing,
    SkippedFile,
    list_folder,
    to_printable,
)
from iddm_cli.errors import DatasetError

TRAINING_SPLITS = {"train", "training"}
HELD_OUT_SPLITS = {"test", "testing", "val", "valid", "validation"}

Layout = Literal["classes", "labels", "flat"]
"""Where the classes come from: folders, a label source such as a table, or nowhere."""


@dataclass(frozen=True)
class Index:
    """The images of a dataset."""

    paths: tuple[str, ...]  # "/" between the parts, sorted by their bytes
    labels: tuple[int, ...]  # class of each path; empty without classes
    classes: tuple[str, ...]
    layout: Layout
    skipped: list[SkippedFile]  # entries that are not in the index, with reasons
    notes: list[str]  # how the layout was understood, as sentences for the user


def index_folder(root: Path, labels: LabelOptions = DEFAULT_LABELS) -> Index:
    """Return the images below a folder, with their classes if there are any.

    Raises:
        DatasetError: The folder does not exist, cannot be read, or contains no image.
    """
    _check_root(root)
    return build_index(list_folder(root), str(root), labels)


def build_index(
    listing: Listing,
    name: str,
    labels: LabelOptions = DEFAULT_LABELS,
    *,
    unwrap: bool = False,
) -> Index:
    """Determine the classes of the images listed, and the label of each image.

    Args:
        listing: The files and folders.
        name: Name of the dataset in messages.
        labels: The settings that labels depend on.
        unwrap: Whether to ignore a single folder around all others, as most archives have.

    Raises:
        DatasetError: There is no image, or a label file is damaged or unusable.
    """
    if not listing.paths:
        unused = [(to_printable(path), explain_name(path.lower())) for path in listing.label_files]
        raise _no_images(name, listing.skipped + unused)
    layout = _LayoutResolver(listing)
    layout.report_empty_folders()
    if unwrap:
        layout.enter_wrappers()
    layout.enter_images()
    layout.enter_training_split()
    layout.enter_images()
    return layout.index_by_labels(labels)


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

    def index_by_labels(self, options: LabelOptions) -> Index:
        """Return the index by the first label source that has labels, else by folders.

        Raises:
            DatasetError: There are files for labels, and they give no classes, nor do folders.
        """
        labels = find_labels(self._scan(options))
        unused = [path for path in self.listing.label_files if path not in labels.used]
        for path in unused:
            labels.skipped.setdefault(path, explain_name(path.lower()))
        for path, reason in labels.skipped.items():
            self.skip(path, reason)
        self.notes += labels.notes
        if labels.classes is not None:
            return self.apply_labels(labels)
        index = self.index_by_folders()
        if labels.failure and not index.classes:
            raise labels.failure
        return index

    def _scan(self, options: LabelOptions) -> LabelScan:
        return LabelScan(
            base=self.base,
            paths=self.paths,
            all_paths=self.listing.paths,
            files=self.listing.label_files,
            read=self.listing.read,
            options=options,
            has_class_folders=bool(self.class_folder_paths()),
        )

    def apply_labels(self, labels: Labelling) -> Index:
        """Return the index of the images to which a label source assigns a class."""
        classes = labels.classes or {}
        kept = [path for path in self.paths if classes.get(path)]
        for path in self.paths:
            if path not in classes:
                self.skip(path, f"not in {labels.origin}")
            elif not classes[path]:
                self.skip(path, "without a class")
        names = [classes[path] for path in kept]
        return self.build(kept, names, labels.order or sort_classes(set(names)), "labels")

    def enter_images(self) -> None:
        """Enter the folder called `images` if there is no other."""
        if self.top_folders() - {""} == {"images"}:
            self.enter("images", "outside the folder images")

    def index_by_folders(self) -> Index:
        """Return the index with each folder as a class; without folders there are no classes."""
        in_folders = self.class_folder_paths()
        if not in_folders:
            return self.build(self.paths, [], [], "flat")
        for path in self.paths:
            if "/" not in path[len(self.base) :]:
                self.skip(path, "outside the class folders")
        names = [to_printable(path[len(self.base) :].split("/", 1)[0]) for path in in_folders]
        return self.build(in_folders, names, sorted(set(names), key=str.encode), "classes")

    def class_folder_paths(self) -> list[str]:
        """Return the images in folders, if these are classes."""
        in_folders = [path for path in self.paths if "/" in path[len(self.base) :]]
        loose = len(self.paths) - len(in_folders)
        return [] if self.base.endswith("images/") and loose else in_folders

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


def _check_root(root: Path) -> None:
    if not root.exists():
        raise DatasetError(f"the dataset folder {root} does not exist", "Check data.path.")
    if not root.is_dir():
        raise DatasetError(
            f"{root} is neither a folder of images nor a supported archive",
            explain_dataset_file(root.name),
        )


def _no_images(name: str, skipped: list[SkippedFile]) -> DatasetError:
    unreadable = [reason for path, reason in skipped if path == "."]
    if unreadable:
        return DatasetError(f"the dataset folder {name} {unreadable[0]}", "Check its permissions.")
    left_out = "; ".join(describe_left_out(skipped))
    return DatasetError(
        f"{name} contains no image (skipped files: {len(skipped)})",
        f"{left_out}." if left_out else f"File names of images end in {', '.join(IMAGE_SUFFIXES)}.",
    )
