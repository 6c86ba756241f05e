"""The plan of a generation: its images, where they start, and what the manifest says of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.classes import choose_classes
from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.generate_options import DEFAULT_COUNT, GenerateOptions
from iddm_cli.workflows.generating.image_plan import (
    PlannedImage,
    plan_images,
    plan_interpolation,
    plan_variations,
)
from iddm_cli.workflows.generating.mask_images import load_masks
from iddm_cli.workflows.generating.number_lists import (
    check_last,
    check_total,
    parse_indices,
    parse_interpolation,
)
from iddm_cli.workflows.generating.output.output_files import GRID_COLUMNS, GridRows
from iddm_cli.workflows.generating.output.output_layout import OutputLayout
from iddm_cli.workflows.generating.source_images import choose_labels, load_sources

if TYPE_CHECKING:
    from PIL import Image

    from iddm_cli.engine.sampling.known_images import KnownImages
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.models import ModelSource

LONGEST_ROW = 20
"""Images of an interpolation that the grid shows in one row."""


@dataclass(frozen=True)
class GenerationPlan:
    """What is generated.

    Attributes:
        images: The images, in order.
        facts: What the manifest records of the plan.
        known: The images that sampling starts from; None: it starts from noise.
        columns: Images of a row of the grid.
    """

    images: list[PlannedImage]
    facts: dict[str, object]
    known: "KnownImages | None" = None
    columns: int = GRID_COLUMNS

    @property
    def labels(self) -> list[int]:
        """The classes of the images, in order."""
        return list(dict.fromkeys(image.spec.label for image in self.images))

    def collect_rows(self, layout: OutputLayout) -> GridRows:
        """Return what collects the rows of the grid."""
        first_cells = None if self.known is None else self.first_cells
        return GridRows(layout, self.images, columns=self.columns, first_cells=first_cells)

    def first_cells(self, source: int) -> "list[Image.Image]":
        """Return what the grid shows of a known image: itself, and what is kept of it."""
        import torch

        from iddm_cli.engine.image_generator import to_image

        assert self.known is not None, "there are known images"
        batch = self.known.select([source], torch.device("cpu"))
        pixels = batch.pixels()
        if batch.generated is None:
            return [to_image(pixels[0])]
        grey = torch.full_like(pixels, 128 if pixels.dtype == torch.uint8 else 2**15)
        return [to_image(pixels[0]), to_image(batch.paste(grey)[0])]


def plan_generation(
    options: GenerateOptions,
    model: "ModelSource",
    profile: "ResolvedProfile",
    progress: ProgressCallback,
) -> GenerationPlan:
    """Return what the options ask for.

    Args:
        options: The options.
        model: The model.
        profile: Its profile, with the image size to use.
        progress: Called while images are decoded.

    Raises:
        IddmError: An option is invalid, or an image cannot be read.
    """
    given = None if options.classes is None else choose_classes(options.classes, model.classes)
    own_noise = has_own_noise(options, model)
    if options.source is not None:
        return _plan_variations(options, options.source, model, profile, given, progress)
    labels = choose_classes(["all"], model.classes) if given is None else given
    if options.interpolate is not None:
        path = parse_interpolation(options.interpolate)
        check_total(len(labels) * path.count, f"--interpolate {options.interpolate}")
        images = plan_interpolation(labels, path, own_noise=own_noise)
        columns = path.count if path.count <= LONGEST_ROW else GRID_COLUMNS
        return GenerationPlan(images, {"count": path.count}, columns=columns)
    indices = choose_indices(options, len(labels))
    images = plan_images(labels, indices, own_noise=own_noise)
    return GenerationPlan(images, _describe_indices(options, indices))


def _plan_variations(
    options: GenerateOptions,
    source: Path,
    model: "ModelSource",
    profile: "ResolvedProfile",
    given: Sequence[int] | None,
    progress: ProgressCallback,
) -> GenerationPlan:
    from iddm_cli.engine.sampling.known_images import KnownImages

    sources = load_sources(source, profile, model.values, model.classes, progress)
    labels = choose_labels(sources, given, model.classes)
    if options.index is not None and len(sources) > 1:
        raise UsageError(
            f"--index needs a single image, and --from {source} has {len(sources):,}",
            "Name one of them: --from FOLDER/image.png --class NAME",
        )
    indices = choose_indices(options, sum(map(len, labels)))
    images = plan_variations(
        sources.names, labels, indices, own_noise=has_own_noise(options, model)
    )
    masks = None
    if options.mask is not None:
        masks, names = load_masks(options.mask, sources, profile, progress)
        images = [
            replace(image, notes={**image.notes, "mask": names[image.spec.source or 0]})
            for image in images
        ]
    known = KnownImages(sources.levels, options.effective_strength, masks)
    facts = _describe_indices(options, indices)
    facts["from"] = [image.notes["from"] for image in images]
    if masks is not None:
        facts["mask"] = [image.notes["mask"] for image in images]
    return GenerationPlan(images, facts, known)


def has_own_noise(options: GenerateOptions, model: "ModelSource") -> bool:
    """Return whether each class has its own noise; without classes both rules are the same."""
    return bool(model.classes) and not options.same_noise


def choose_indices(options: GenerateOptions, groups: int) -> Sequence[int]:
    """Return the indices of the images of each class, or of each image's variations.

    Args:
        options: The options.
        groups: How many classes, or images and classes of variations, there are.

    Raises:
        UsageError: --index is not a list of indices, or there are too many images.
    """
    if options.index is not None:
        indices: Sequence[int] = parse_indices(options.index)
        check_total(groups * len(indices), f"--index {options.index}")
        return indices
    start, count = options.start or 0, options.count or DEFAULT_COUNT
    check_total(groups * count, f"--count {count}")
    check_last(start + count - 1, f"--start {start}")
    return range(start, start + count)


def _describe_indices(options: GenerateOptions, indices: Sequence[int]) -> dict[str, object]:
    facts: dict[str, object] = {"count": len(indices)}
    if options.start:
        facts["start"] = options.start
    return facts if options.index is None else {**facts, "indices": list(indices)}
