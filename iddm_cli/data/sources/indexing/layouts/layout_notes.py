"""What is reported of a layout: one sentence for each decision."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from iddm_cli.data.sources.indexing.layouts.splits import find_look_alikes
from iddm_cli.data.sources.indexing.listing import to_printable

NAMES_SHOWN = 4
MAX_NAME_LENGTH = 80


@dataclass
class LayoutNotes:
    """The decisions about a layout, and the sentences that report them."""

    entered: str = ""
    """The innermost folder that was entered as the only one."""

    used_parts: dict[str, None] = field(default_factory=dict)
    left_parts: dict[str, int] = field(default_factory=dict)
    """Names of the parts of splits; those left out with their number of images."""

    companions: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Name, and number of images, of the folders of each kind that are left out."""

    mask_files: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    """PNG files that have the name of a JPEG file, and are used."""

    emptied: list[str] = field(default_factory=list)
    """Classes of which no image is left."""

    doubtful_masks: list[str] = field(default_factory=list)
    """Classes that may be folders of masks."""

    def use_part(self, name: str) -> None:
        """Note that a part of a split is trained on."""
        self.used_parts[name] = None

    def leave_out_part(self, name: str, count: int) -> None:
        """Note that a folder of a split is left out."""
        self.left_parts[name] = self.left_parts.get(name, 0) + count

    def leave_out(self, kind: str, name: str, count: int) -> None:
        """Note that a folder beside images is left out."""
        self.companions.setdefault(kind, []).append((name, count))

    def describe_left_out(self) -> list[str]:
        """Return the sentences about what is left out."""
        notes = [*self._describe_split()]
        for kind, folders in self.companions.items():
            names = dict.fromkeys(name for name, _ in folders)
            several = f"{len(folders):,} folders called " if len(folders) > len(names) else ""
            images = _count(
                sum(count for _, count in folders), "image", f"in {several}{_join(names)}"
            )
            notes.append(f"{kind}: {images} left out")
        if self.mask_files:
            example = f"such as {_shorten(self.mask_files[0])}"
            notes.append(f"masks: {_count(len(self.mask_files), 'file', example)} left out")
        if self.twins:
            example = f"such as {_shorten(self.twins[0])}"
            notes.append(
                f"warning: {_count(len(self.twins), 'PNG file', example)} used, beside a JPEG "
                "file of the same name; they may be masks or copies"
            )
        if self.emptied:
            notes.append(f"no image of {_join(self.emptied)} is left: training omits the class")
        return notes

    def describe_classes(self, classes: Iterable[str]) -> list[str]:
        """Return the sentences about the folders that are classes, or may not be meant to be."""
        names = list(classes)
        notes = []
        if self.entered:
            notes.append(f"{_shorten(self.entered[:-1])} is entered, as the only folder of images")
        alike = find_look_alikes(names) if len(names) > 1 and not self.used_parts else []
        if alike:
            notes.append(
                f"warning: classes that may be parts of a split: {_join(alike)}; "
                "to train on one folder, set data.path to it"
            )
        if masks := [name for name in self.doubtful_masks if name in names]:
            notes.append(
                f"warning: classes that may be masks or annotations: {_join(masks)}; "
                "to leave them out, set data.path to the folder of images"
            )
        return notes

    def _describe_split(self) -> Iterable[str]:
        if self.used_parts:
            left = [
                f"{_shorten(name)} ({count:,})"
                for name, count in islice(self.left_parts.items(), NAMES_SHOWN)
            ]
            more = ", ..." if len(self.left_parts) > NAMES_SHOWN else ""
            verb = "is" if len(self.used_parts) == 1 else "are"
            yield (
                f"a split: only {_join(self.used_parts)} {verb} used; images left out: "
                f"{', '.join(left)}{more}"
            )


def _join(names: Iterable[str]) -> str:
    shown = [_shorten(name) for name in names]
    return ", ".join(shown[:NAMES_SHOWN]) + (", ..." if len(shown) > NAMES_SHOWN else "")


def _count(number: int, noun: str, details: str) -> str:
    """Return a number of things with the verb: 3 images beside it are."""
    return f"{number:,} {noun} {details} is" if number == 1 else f"{number:,} {noun}s {details} are"


def _shorten(name: str) -> str:
    """Return a printable name of limited length."""
    printable = to_printable(name)
    if len(printable) <= MAX_NAME_LENGTH:
        return printable
    return f"...{printable[-MAX_NAME_LENGTH:]}"
