"""The files of generated images: each image with its metadata, the grid, and the manifest."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from iddm_cli import array_files, durable, image_files
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.output.output_layout import OutputLayout

if TYPE_CHECKING:
    from torch import Tensor

GRID = "grid.png"
GRID_COLUMNS = 10
GRID_IMAGES = 100
GRID_CLASSES = 100
"""Classes, or images with variations, that the grid shows at most."""

RowGroup = tuple[int, int | None]
"""The images that stand together in the grid: of one class, and of one source."""


def write_image(
    layout: OutputLayout, metadata: SamplingMetadata, image: PlannedImage, pixels: "Tensor"
) -> None:
    """Write one image, with its metadata inside the file; for the arguments see `encode`."""
    content = encode(layout, metadata, image, pixels)
    # Thousands of files: each whole or absent, but not each flushed to the disk by itself.
    durable.write_file(layout.planned_path(image), content, flush=False)


def encode(
    layout: OutputLayout, metadata: SamplingMetadata, image: PlannedImage, pixels: "Tensor"
) -> bytes:
    """Return the bytes of an image's file, with its metadata in it.

    Args:
        layout: The folder.
        metadata: The metadata that all images share.
        image: The image.
        pixels: Its pixels, [H, W, C].
    """
    from iddm_cli.engine.image_generator import to_image

    spec = image.spec
    notes = metadata.text_notes(spec.index, layout.class_name(spec.label), image.notes)
    if layout.form in array_files.LOSSY_FORMS:
        return image_files.encode_image(to_image(pixels), layout.form, notes)
    values = layout.values.to_values(pixels.numpy())
    return array_files.encode_values(values, layout.form, notes)


class GridRows:
    """Collects the first images of each class, or of each image's variations, for the grid.

    Args:
        layout: The folder; without a grid, nothing is collected.
        images: All images of the folder.
        columns: Images of a row.
        first_cells: Returns the images that stand before the variations of a source.
    """

    def __init__(
        self,
        layout: OutputLayout,
        images: Sequence[PlannedImage],
        *,
        columns: int = GRID_COLUMNS,
        first_cells: Callable[[int], list[Image.Image]] | None = None,
    ) -> None:
        self.layout = layout
        self.columns = columns
        self.first_cells = first_cells
        groups = list(dict.fromkeys(_group(image) for image in images))
        self.most = max(columns, GRID_IMAGES // len(groups)) if first_cells is None else columns
        shown = groups[:GRID_CLASSES] if layout.grid else []
        self.paths: dict[RowGroup, list[Path]] = {group: [] for group in shown}
        for image in images:
            row = self.paths.get(_group(image))
            if row is not None and len(row) < self.most:
                row.append(layout.planned_path(image))
        self._pixels: dict[Path, Tensor | None] = dict.fromkeys(
            path for row in self.paths.values() for path in row
        )

    def add(self, image: PlannedImage, pixels: "Tensor") -> None:
        """Keep an image, [H, W, C], if it is one of the first."""
        path = self.layout.planned_path(image)
        if path in self._pixels:
            self._pixels[path] = pixels

    def fill(self, read: "Callable[[Path], Tensor | None]") -> None:
        """Read the images that were not added: another process, or an earlier call, made them.

        Args:
            read: Returns the pixels of a file, [H, W, C]; None if it is damaged.
        """
        for path, pixels in self._pixels.items():
            if pixels is None:
                self._pixels[path] = read(path)

    def list_rows(self) -> list[image_files.GridRow]:
        """Return the rows of the grid; the first of each class has its name."""
        from iddm_cli.engine.image_generator import to_image

        rows: list[image_files.GridRow] = []
        named: set[int] = set()
        for (label, source), paths in self.paths.items():
            found = [self._pixels[path] for path in paths]
            images = [to_image(pixels) for pixels in found if pixels is not None]
            if self.first_cells is not None and source is not None:
                images = [*self.first_cells(source), *images]
            width = self.columns if self.first_cells is None else len(images)
            for start in range(0, len(images), max(width, 1)):
                name = "" if label in named else self.layout.class_name(label)
                named.add(label)
                rows.append((name, images[start : start + width]))
        return rows


def _group(image: PlannedImage) -> RowGroup:
    return image.spec.label, image.spec.source


def write_grid(layout: OutputLayout, rows: Sequence[image_files.GridRow]) -> Path:
    """Write the overview as grid.png."""
    path = layout.folder / GRID
    image_files.save_png(image_files.make_grid(rows), path)
    return path


def describe_folder(
    layout: OutputLayout,
    metadata: SamplingMetadata,
    images: Sequence[PlannedImage],
    facts: dict[str, object],
) -> dict[str, object]:
    """Return the content of manifest.json: how the images are generated, and their list.

    Args:
        layout: The folder.
        metadata: The metadata that all images share.
        images: The images.
        facts: What else was asked for, by key.
    """
    paths = [layout.planned_path(image) for image in images]
    manifest: dict[str, object] = {
        **metadata.to_json(),
        "classes": [layout.classes[label] for label in layout.labels if layout.classes],
        **facts,
        "images": [path.relative_to(layout.folder).as_posix() for path in paths],
    }
    if layout.values != EIGHT_BIT:
        manifest["values"] = layout.values.to_json()
    return manifest
