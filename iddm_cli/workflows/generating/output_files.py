"""The files of generated images: each image with its metadata, the grid, and the manifest."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
"""Classes that the grid shows at most."""


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
    """Collects the first images of each class for the grid.

    Args:
        layout: The folder; without a grid, nothing is collected.
    """

    def __init__(self, layout: OutputLayout) -> None:
        self.layout = layout
        self.most = max(GRID_COLUMNS, GRID_IMAGES // len(layout.labels))
        shown = layout.labels[:GRID_CLASSES] if layout.grid else []
        self._pixels: dict[int, list[Tensor]] = {label: [] for label in shown}

    def add(self, image: PlannedImage, pixels: "Tensor") -> None:
        """Keep an image, [H, W, C], if it is one of the first."""
        row = self._pixels.get(image.spec.label)
        if row is not None and len(row) < self.most:
            row.append(pixels)

    def list_rows(self) -> list[image_files.GridRow]:
        """Return the rows of the grid; the first of each class has its name."""
        from iddm_cli.engine.image_generator import to_image

        rows: list[image_files.GridRow] = []
        for label, pixels in self._pixels.items():
            images = [to_image(one) for one in pixels]
            for start in range(0, len(images), GRID_COLUMNS):
                name = self.layout.class_name(label) if start == 0 else ""
                rows.append((name, images[start : start + GRID_COLUMNS]))
        return rows


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
