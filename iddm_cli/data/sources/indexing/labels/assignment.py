"""Assigning classes to images: from pairs of a name, however it was written, and a class."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iddm_cli.data.sources.indexing.labels.file_matching import FileMatcher
from iddm_cli.data.sources.indexing.labels.labelling import LabelScan
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

CONDITIONAL_HINT = "data.conditional: false trains without classes"


@dataclass(frozen=True)
class Assignment:
    """The class of each image that a label file lists."""

    classes: dict[str, str]
    """Class by path; "" for an image that is listed without one."""

    missing: list[str]
    """Names in the label file that mean no image."""

    @property
    def labelled(self) -> int:
        """Number of images with a class."""
        return sum(map(bool, self.classes.values()))


@dataclass
class _Claim:
    """The classes that a label file gives an image."""

    cell: str
    classes: tuple[str, ...] = ()

    def add(self, label: str) -> None:
        """Add a class; "" changes nothing."""
        if label and label not in self.classes and len(self.classes) < 2:
            self.classes = (*self.classes, label)

    def get_class(self, origin: str, path: str) -> str:
        """Return the class, or "" for none.

        Raises:
            DatasetError: There are several.
        """
        if len(self.classes) > 1:
            first, second = self.classes
            raise DatasetError(
                f"{origin} lists {to_printable(path)} twice, as {first} and as {second}",
                "An image has one class: correct the file, or remove it to use folder names.",
            )
        return "".join(self.classes)


def assign_classes(
    pairs: Iterable[tuple[str, str]], matcher: FileMatcher, origin: str
) -> Assignment:
    """Assign each class to the image that its name means, the surest matches first.

    Args:
        pairs: Names of images, and their classes; "" for none.
        matcher: Finds the images.
        origin: Name of the label file, for messages.

    Raises:
        DatasetError: An image has several classes.
    """
    levels: dict[int, dict[str, _Claim]] = defaultdict(dict)
    classes: dict[str, str] = {}
    missing: dict[str, None] = {}
    for cell, label in pairs:
        match = matcher.find(cell)
        if match is None:
            missing[cell] = None
        elif match.path is not None:
            levels[match.level].setdefault(match.path, _Claim(cell)).add(label)
    for level in sorted(levels):
        for path, claim in levels[level].items():
            if path in classes:
                missing[claim.cell] = None
            else:
                classes[path] = claim.get_class(origin, path)
    return Assignment(classes, list(missing))


def describe_gaps(scan: LabelScan, assignment: Assignment) -> list[str]:
    """Return phrases on images without a class, and on names without an image."""
    parts = []
    total = len(scan.paths)
    if assignment.labelled < total:
        parts.append(
            f"images without a class in it, left out: {total - assignment.labelled:,} of {total:,}"
        )
    if assignment.missing:
        parts.append(f"rows that name no image: {len(assignment.missing):,}")
    return parts


def no_image_labelled(scan: LabelScan, origin: str, names: Sequence[str]) -> DatasetError:
    """Return the error for a label file that lists none of the images."""
    example = f", and there is {to_printable(scan.paths[0])}"
    held = f": it holds {to_printable(names[0])}{example}" if names else ""
    return DatasetError(
        f"{origin} assigns a class to none of the images",
        f"It must hold paths relative to itself, or names of files{held}; {CONDITIONAL_HINT}.",
    )
