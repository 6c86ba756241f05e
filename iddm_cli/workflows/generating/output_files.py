"""The files of generated images: each image with its metadata, the grid, and the manifest."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from iddm_cli import array_files, durable, image_files
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.output_layout import OutputLayout

if TYPE_CHECKING:
    from torch import Tensor

GRID_COLUMNS = 10
GRID_IMAGES = 100
GRID_CLASSES = 100
"""Classes, or images with variations, that the grid shows at most."""

RowGroup = tuple[int, int | None]
"""The images that stand together in the grid: of one class, and of one source."""


def write_image(
    layout: OutputLayout, metadata: SamplingMetadata, image: PlannedImage, pixels: "Tensor"
) -> None:
    """Write one image, with its metadata inside the file.

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
        content = image_files.encode_image(to_image(pixels), layout.form, notes)
    else:
        values = layout.values.to_values(pixels.numpy())
        content = array_files.encode_values(values, layout.form, notes)
    # Thousands of files: each whole or absent, but not each flushed to the disk by itself.
    path = layout.image_path(spec.label, spec.index, image.stem)
    durable.write_file(path, content, flush=False)


class GridRows:
    """Collects the first images of each class, or of each image's variations, for the grid.

    Args:
        layout: The folder; without a grid, nothing is collected.
        images: All images that will be added.
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
        self._pixels: dict[RowGroup, list[Tensor]] = {group: [] for group in shown}

    def add(self, image: PlannedImage, pixels: "Tensor") -> None:
        """Keep an image, [H, W, C], if it is one of the first."""
        row = self._pixels.get(_group(image))
        if row is not None and len(row) < self.most:
            row.append(pixels)

    def list_rows(self) -> list[image_files.GridRow]:
        """Return the rows of the grid; the first of each class has its name."""
        from iddm_cli.engine.image_generator import to_image

        rows: list[image_files.GridRow] = []
        named: set[int] = set()
        for (label, source), pixels in self._pixels.items():
            images = [to_image(one) for one in pixels]
            if self.first_cells is not None and source is not None:
                images = [*self.first_cells(source), *images]
            width = self.columns if self.first_cells is None else len(images)
            for start in range(0, len(images), width):
                name = "" if label in named else self.layout.class_name(label)
                named.add(label)
                rows.append((name, images[start : start + width]))
        return rows


def _group(image: PlannedImage) -> RowGroup:
    return image.spec.label, image.spec.source


def write_grid(layout: OutputLayout, rows: Sequence[image_files.GridRow]) -> Path:
    """Write the overview as grid.png."""
    path = layout.folder / "grid.png"
    image_files.save_png(image_files.make_grid(rows), path)
    return path


def write_manifest(
    layout: OutputLayout,
    metadata: SamplingMetadata,
    images: Sequence[PlannedImage],
    facts: dict[str, object],
) -> dict[str, object]:
    """Write manifest.json, and return its content.

    Args:
        layout: The folder.
        metadata: The metadata that all images share.
        images: The images.
        facts: What else was asked for, by key.
    """
    paths = [layout.image_path(i.spec.label, i.spec.index, i.stem) for i in images]
    manifest: dict[str, object] = {
        **metadata.to_json(),
        "classes": [layout.classes[label] for label in layout.labels if layout.classes],
        **facts,
        "images": [path.relative_to(layout.folder).as_posix() for path in paths],
    }
    if layout.values != EIGHT_BIT:
        manifest["values"] = layout.values.to_json()
    content = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    durable.write_file(layout.folder / "manifest.json", content)
    return manifest
