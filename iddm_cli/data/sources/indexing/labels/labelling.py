"""What label sources are given, and what they return."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from iddm_cli.errors import DatasetError

_NUMBER = re.compile(r"-?[0-9]+([.,][0-9]+)?")

DEFAULT_COLUMN = "label"


@dataclass(frozen=True)
class LabelOptions:
    """The settings of a profile that labels depend on."""

    column: str = DEFAULT_COLUMN
    """Column of a table, or key of a JSON object, that holds the class."""

    pattern: str | None = None
    """Regular expression whose first group, in the name of a file, is its class."""

    recognise_layout: bool = True
    """Whether folders of splits, masks and the like are recognised, and are not classes."""

    required: bool = True
    """Whether label files without usable labels are an error; data.conditional: false allows it."""


DEFAULT_LABELS = LabelOptions()


@dataclass(frozen=True)
class LabelScan:
    """The files that a label source may look at."""

    base: str
    """The folder whose images are used, with a slash at its end; "" for the whole dataset."""

    paths: Sequence[str]
    """The images below `base`."""

    all_paths: Sequence[str]
    """All images of the dataset."""

    files: Sequence[str]
    """All files that may hold labels."""

    read: Callable[[str], bytes]
    """`read(path)` returns the content of a file."""

    options: LabelOptions

    has_class_folders: bool
    """Whether the folders below `base` would give classes."""

    def is_around(self, path: str) -> bool:
        """Return whether a file lies in the folder `base`, or in one around it."""
        return self.base.startswith(parent_folder(path))


@dataclass
class Labelling:
    """The classes that one source gives, or why it gives none."""

    classes: dict[str, str] | None = None
    """Class of each image by its path, "" for none; None if this source gives no labels."""

    is_unlabelled: bool = False
    """Whether a label file says that there are no classes, so that folders are none either."""

    class_names: object = None
    """Names of classes that are numbers, as the label file holds them."""

    order: list[str] | None = None
    """The class names in the order of their labels; None sorts them."""

    origin: str = ""
    """Printable name of the file that the labels come from."""

    skipped: dict[str, str] = field(default_factory=dict)
    """Other files, and the reason why each is not used."""

    notes: list[str] = field(default_factory=list)
    """Sentences for the user."""

    used: set[str] = field(default_factory=set)
    """Label files that were read for their labels."""

    failure: DatasetError | None = None
    """Why there are no labels although there is a file for them; fatal without class folders."""


def parent_folder(path: str) -> str:
    """Return the folder of a file, with a slash at its end; "" at the top."""
    return path[: path.rfind("/") + 1]


def sort_classes(names: set[str]) -> list[str]:
    """Sort class names: by value if all are numbers, else by their bytes."""
    if all(_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (Decimal(name.replace(",", ".")), name))
    return sorted(names, key=str.encode)
