"""The folder that `iddm generate` writes, itself a valid dataset folder.

<out>/<class>/<class>-000007.png    images; without classes: images/image-000007.png
<out>/<class>/<source>-000007.png   variations of an image, see `source_images`
<out>/grid.png                      the first images of each class
<out>/manifest.json                 how they were generated, and their list

With --to, it holds shards instead of these folders, and no grid: 00000.tar or 00000.parquet.

A class whose name cannot be a folder name gets one with a digest: class-3-0123456789.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from iddm_cli.durable import PARTIAL_PREFIX
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.class_folders import create_class_folders
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.output.file_names import class_folder_name, spare_folder_name

MANIFEST = "manifest.json"


class OutputLayout:
    """The files of a folder of generated images.

    Args:
        folder: The folder.
        classes: All classes of the model; empty where it has none.
        labels: The labels to generate.
        form: png, jpg, webp, tiff or npy.
        grid: Whether grid.png is written.
        values: The range of values that the model was trained on.
    """

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...],
        labels: list[int],
        form: str,
        *,
        grid: bool,
        values: ValueRange = EIGHT_BIT,
    ) -> None:
        self.folder = folder
        self.classes = classes
        self.labels = labels
        self.form = form
        self.grid = grid
        self.values = values
        self._folder_names: dict[int, str] = {}

    def class_name(self, label: int) -> str:
        """Return the name of a class; "" where the model has none."""
        return self.classes[label] if self.classes else ""

    def image_path(self, label: int, index: int, stem: str = "") -> Path:
        """Return the path of one image.

        Args:
            label: Its class.
            index: Its index.
            stem: The beginning of its name; "" for that of its class.
        """
        folder = self._folder_names.get(label) or self._folder_name(label)
        stem = stem or (folder if self.classes else "image")
        return self.folder / folder / f"{stem}-{index:06d}.{self.form}"

    def planned_path(self, image: PlannedImage) -> Path:
        """Return the path of an image of the plan."""
        return self.image_path(image.spec.label, image.spec.index, image.stem)

    def _folder_name(self, label: int) -> str:
        return class_folder_name(self.classes[label], label) if self.classes else "images"

    def create_folder(self) -> None:
        """Create the folder alone, without those of the classes.

        Raises:
            UsageError: It cannot be created.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _describe_error(self.folder, error) from error

    def create_folders(self) -> None:
        """Create the folders of the classes, under names that the file system accepts.

        Raises:
            UsageError: They cannot be created.
        """
        names = {label: self._folder_name(label) for label in self.labels}
        spares = {
            label: spare_folder_name(self.classes[label], label) if self.classes else name
            for label, name in names.items()
        }
        try:
            self._folder_names = create_class_folders(self.folder, names, spares)
        except OSError as error:
            raise _describe_error(self.folder, error) from error

    @contextlib.contextmanager
    def report_failed_write(self, done: int, total: int) -> Iterator[None]:
        """Turn an OSError into an error that says how many images are there.

        Args:
            done: Number of images that are complete.
            total: Number of images in all.

        Raises:
            IddmError: Something cannot be written.
        """
        try:
            yield
        except OSError as error:
            raise IddmError(
                f"{self.folder} cannot be written to: {error.strerror or error}",
                f"{done} of {total} images are complete there; the same command with --out "
                f"{self.folder} generates the others.",
            ) from error


def check_usable(folder: Path, *, overwrite: bool) -> None:
    """Check that a folder is empty, was made by `iddm generate`, or may be overwritten.

    Empty folders inside it, and files that are being written, do not count: other processes may
    be beginning to generate there.

    Raises:
        UsageError: It holds other files already, or is not a folder.
    """
    try:
        has_files = folder.exists() and any(
            not entry.name.startswith(PARTIAL_PREFIX)
            and not (entry.is_dir() and not any(os.scandir(entry)))
            for entry in os.scandir(folder)
        )
        is_ours = has_files and (folder / MANIFEST).is_file()
    except OSError as error:  # a file, a name too long, a folder that may not be entered
        raise _describe_error(folder, error) from error
    if has_files and not is_ours and not overwrite:
        raise UsageError(
            f"--out {folder} is not empty",
            "Choose a new folder, or --overwrite to replace files of the same names.",
        )


def _describe_error(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"--out {folder}: {error.strerror}", "Choose another --out.")
