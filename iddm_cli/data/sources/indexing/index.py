"""The index of a dataset: which images it contains, and the class of each.

Classes come from folders, or from a label source such as a table beside the images; `layouts`
decides which folders are classes.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
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
    parent_folder,
    sort_classes,
)
from iddm_cli.data.sources.indexing.labels.shards import describe_shards
from iddm_cli.data.sources.indexing.layouts.resolver import (
    ResolvedLayout,
    resolve_layout,
    resolve_part,
    take_folders,
)
from iddm_cli.data.sources.indexing.listing import (
    Listing,
    SkippedFile,
    list_folder,
    to_printable,
)
from iddm_cli.errors import DatasetError

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = ZIP_SUFFIXES + TAR_SUFFIXES

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
    held_out: tuple[str, ...] = ()  # images left out as the held-out parts of a split
    index_part: Callable[[], "PartIndex | None"] = field(
        default=lambda: None, compare=False, repr=False
    )  # returns the index of those among them that measure quality


@dataclass(frozen=True)
class PartIndex:
    """The validation or test images of a dataset, and the name of their part."""

    name: str
    index: Index


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
    if labels.recognise_layout:
        layout = resolve_layout(listing.paths, listing.read_head, unwrap=unwrap)
    else:
        layout = take_folders(listing.paths, unwrap=unwrap)
    builder = _IndexBuilder(listing, layout)
    builder.report_empty_folders()
    index = builder.index_by_labels(labels)
    return replace(index, index_part=partial(_index_part, listing, layout, labels))


def _index_part(listing: Listing, layout: ResolvedLayout, labels: LabelOptions) -> PartIndex | None:
    """Return the index of the held-out part that measures quality, or None without one."""
    found = resolve_part(layout, listing.read_head)
    if found is None:
        return None
    name, part = to_printable(found[0]), found[1]
    builder = _IndexBuilder(listing, part)
    builder.paths = sorted(part.folder.iter_images(), key=os.fsencode)
    try:
        return PartIndex(name, builder.index_by_labels(replace(labels, required=False)))
    except DatasetError:  # its labels are damaged: that must not stop a training
        return PartIndex(name, builder.index_by_folders())


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
            folder = parent_folder(path)[:-1]
            while folder and folder not in with_images:
                with_images.add(folder)
                folder = parent_folder(folder)[:-1]
        for folder in self.listing.folders - with_images:
            if parent_folder(folder) in levels and to_printable(folder) not in reported:
                self.skip(folder, "no image in this folder")

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
        if labels.failure and not index.classes and options.required:
            raise labels.failure
        if labels.failure:
            source = "folders" if index.classes else "nowhere"
            index.notes.append(f"{labels.failure.problem}; classes from {source}")
        return index

    def _scan(self, options: LabelOptions) -> LabelScan:
        return LabelScan(
            base=self.base,
            paths=self.paths,
            all_paths=self.listing.paths,
            files=self.listing.label_files,
            read=self._read,
            options=options,
            has_class_folders=bool(self.layout.folder.folders),
        )

    def _read(self, path: str) -> bytes:
        """Return the content of a label file.

        Raises:
            DatasetError: It cannot be read.
        """
        try:
            return self.listing.read(path)
        except OSError as error:
            raise DatasetError(
                f"{to_printable(path)} cannot be read: {error.strerror or error}",
                "It is a file that may hold labels; check its permissions, or remove it.",
            ) from error

    def apply_labels(self, labels: Labelling) -> Index:
        """Return the index of the images to which a label source assigns a class."""
        if labels.is_unlabelled:
            return self.build(self.paths, [], [], "flat")
        classes = labels.classes or {}
        kept = [path for path in self.paths if classes.get(path)]
        for path in self.paths:
            if path in labels.skipped:
                continue
            if path not in classes:
                self.skip(path, f"not in {labels.origin}")
            elif not classes[path]:
                self.skip(path, "without a class")
        names = [classes[path] for path in kept]
        return self.build(kept, names, labels.order or sort_classes(set(names)), "labels")

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
        if self.layout.is_recognised:
            self.notes.append("data.layout=folders would take each folder as a class")
        if not class_of:
            return self.build(kept, [], [], "flat")
        names = [to_printable(class_of[path]) for path in kept]
        if warning := describe_shards(Counter(names)):
            self.notes.append(warning)
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


def _check_root(root: Path) -> None:
    if not root.exists():
        raise DatasetError(f"the dataset folder {root} does not exist", "Check data.path.")
    if not root.is_dir():
        raise DatasetError(
            f"{root} is neither a folder of images nor a supported archive",
            explain_dataset_file(root.name),
        )


def _no_images(name: str, skipped: list[SkippedFile]) -> DatasetError:
    archives = sorted(path for path, _ in skipped if path.lower().endswith(ARCHIVE_SUFFIXES))
    if archives:
        return DatasetError(
            f"{name} contains archives and no image: {len(archives)} files such as {archives[0]}",
            "iddm reads one archive: set data.path to one of them, or unpack them all here.",
        )
    unreadable = [reason for path, reason in skipped if path == "."]
    if unreadable:
        return DatasetError(f"the dataset folder {name} {unreadable[0]}", "Check its permissions.")
    left_out = "; ".join(describe_left_out(skipped))
    return DatasetError(
        f"{name} contains no image (skipped files: {len(skipped)})",
        f"{left_out}." if left_out else f"File names of images end in {', '.join(IMAGE_SUFFIXES)}.",
    )
