"""Image generation: the folder that `iddm generate` writes, itself a valid dataset folder.

<out>/<class>/<class>-000007.png    images; without classes: images/image-000007.png
<out>/grid.png                      the first images of each class
<out>/manifest.json                 how they were generated, and their list

A class whose name cannot be a folder name gets one with a digest: class-3-0123456789.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli import array_files, durable, image_files
from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.class_folders import create_class_folders

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.engine.image_generator import ImageGenerator, Sample
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.models import ModelSource

GRID_COLUMNS = 10
GRID_IMAGES = 100
GRID_CLASSES = 100
"""Classes that the grid shows at most."""

MAX_IMAGES = 1_000_000
MAX_NAME_BYTES = 200
"""Bytes of a folder name; a file name adds a number, and may have 255 bytes."""

RESERVED_NAMES = ("", ".", "..", "grid.png", "manifest.json")


def class_folder_name(name: str, label: int) -> str:
    """Return the folder name of a class: its own name, where that is possible.

    Args:
        name: The class's name; any text, since dataset.json may come from another machine.
        label: The class's label.
    """
    if Path(name).name != name or name.lower() in RESERVED_NAMES or not _is_storable(name):
        return spare_folder_name(name, label)
    content = name.encode()
    if len(content) <= MAX_NAME_BYTES:
        return name
    return f"{content[:MAX_NAME_BYTES].decode(errors='ignore')}-{_digest(name)}"


def spare_folder_name(name: str, label: int) -> str:
    """Return the folder name of a class where its own name is not possible."""
    return f"class-{label}-{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:10]


def _is_storable(name: str) -> bool:
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False


class OutputLayout:
    """The files of a folder of generated images.

    Args:
        folder: The folder.
        classes: All classes of the model; empty where it has none.
        labels: The labels to generate.
        count: Number of images per class.
        form: png, jpg, webp, tiff or npy.
        grid: Whether grid.png is written.
        values: The range of values that the model was trained on.
    """

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...],
        labels: list[int],
        count: int,
        form: str,
        *,
        grid: bool,
        values: ValueRange = EIGHT_BIT,
    ) -> None:
        self.folder = folder
        self.classes = classes
        self.labels = labels
        self.count = count
        self.form = form
        self.grid = grid
        self.values = values
        self._folder_names: dict[int, str] = {}

    @property
    def images_in_grid(self) -> int:
        """Images per class in the grid: a row, or several where classes are few."""
        return max(GRID_COLUMNS, GRID_IMAGES // len(self.labels))

    @property
    def labels_in_grid(self) -> list[int]:
        """The labels in the grid."""
        return self.labels[:GRID_CLASSES] if self.grid else []

    def image_path(self, label: int, index: int) -> Path:
        """Return the path of one image."""
        folder = self._folder_names.get(label) or self._folder_name(label)
        stem = folder if self.classes else "image"
        return self.folder / folder / f"{stem}-{index:06d}.{self.form}"

    def _folder_name(self, label: int) -> str:
        return class_folder_name(self.classes[label], label) if self.classes else "images"

    def check_count(self) -> None:
        """Check the number of images.

        Raises:
            UsageError: There would be so many that their list alone would fill the memory.
        """
        total = self.count * len(self.labels)
        if total > MAX_IMAGES:
            raise UsageError(
                f"--count {self.count} would be {total:,} images",
                f"Generate at most {MAX_IMAGES:,} at a time; another --seed gives other images.",
            )

    def check_empty(self, *, overwrite: bool) -> None:
        """Check that the folder is empty, or may be overwritten.

        Raises:
            UsageError: It holds files already, or is not a folder.
        """
        try:
            has_files = self.folder.exists() and any(self.folder.iterdir())
        except OSError as error:  # a file, a name too long, a folder that may not be entered
            raise self._output_error(error) from error
        if has_files and not overwrite:
            raise UsageError(
                f"--out {self.folder} is not empty",
                "Choose a new folder, or --overwrite to replace files of the same names.",
            )

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
            raise self._output_error(error) from error

    @contextlib.contextmanager
    def report_failed_write(self, done: int) -> Iterator[None]:
        """Turn an OSError into an error that says how many images are there.

        Args:
            done: Number of images that are complete.

        Raises:
            IddmError: Something cannot be written.
        """
        try:
            yield
        except OSError as error:
            total = self.count * len(self.labels)
            raise IddmError(
                f"{self.folder} cannot be written to: {error.strerror or error}",
                f"{done} of {total} images are complete there.",
            ) from error

    def _output_error(self, error: OSError) -> UsageError:
        return UsageError(f"--out {self.folder}: {error.strerror}", "Choose another --out.")


def resolve_form(form: str | None, values: ValueRange, channels: int) -> str:
    """Return the file format of a model's images: the given one, or one that can hold them.

    Raises:
        UsageError: The given one cannot, or a package is missing.
    """
    if form is None:
        return array_files.choose_form(values, channels)
    array_files.check_form(form, values, channels)
    return form


def generate_images(
    layout: OutputLayout,
    model: "ModelSource",
    profile: "ResolvedProfile",
    source: "WeightsSource",
    *,
    seed: int,
    as_json: bool,
) -> None:
    """Generate the images, and write each as it comes.

    Args:
        layout: The files to write.
        model: The model.
        profile: Its profile, with the sampling section to use.
        source: Its weights.
        seed: Random seed.
        as_json: Whether the result is printed as JSON.

    Raises:
        IddmError: The weights are damaged, or the folder cannot be written to.
    """
    from iddm_cli.engine.image_generator import SampleSpec
    from iddm_cli.workflows.sampling_precision import build_sampling_generator

    specs = [SampleSpec(label, index) for label in layout.labels for index in range(layout.count)]
    with show_progress() as progress:
        generator = build_sampling_generator(
            model, profile, source, images=len(specs), progress=progress
        )
    metadata = describe_sampling(model.name, profile, source, generator, seed)
    layout.create_folders()
    in_grid: dict[int, list[Sample]] = {label: [] for label in layout.labels_in_grid}
    with show_progress() as progress:
        samples = generator.generate(specs, seed=seed, batch_size=profile.sampling.batch_size)
        for done, sample in enumerate(samples, start=1):
            with layout.report_failed_write(done - 1):
                write_image(layout, metadata, sample)
            if sample.spec.label in in_grid and sample.spec.index < layout.images_in_grid:
                in_grid[sample.spec.label].append(sample)
            progress("generating images", done, len(specs))
    paths = [layout.image_path(spec.label, spec.index) for spec in specs]
    with layout.report_failed_write(len(specs)):
        grid = write_grid(layout, in_grid) if layout.grid else None
        manifest = write_manifest(layout, metadata, paths)
    if as_json:
        console.print_json(manifest | {"out": str(layout.folder), "grid": grid and str(grid)})
    else:
        console.print_result(str(grid or layout.folder))
        content = _describe_files(layout, profile)
        console.print_note(
            f"{len(specs)} images in {layout.folder}, computed in {generator.precision}{content}"
        )
    if not generator.is_invariant:
        console.print_warning(
            f"on this machine an image in {generator.precision} depends on its batch; for images "
            "that do not: --precision fp32"
        )


def _describe_files(layout: OutputLayout, profile: "ResolvedProfile") -> str:
    """Return what the files hold, unless they are ordinary images of 8 bits."""
    channels = profile.data.channels
    values = "" if layout.values.is_8_bit else f"; values {layout.values.describe()}"
    if channels in (1, 3):
        return values
    shown = "the first" if channels == 2 else "the first three"
    return f"{values}; {channels} bands" + (f", of which grid.png shows {shown}" * layout.grid)


def describe_sampling(
    run_name: str,
    profile: "ResolvedProfile",
    source: "WeightsSource",
    generator: "ImageGenerator",
    seed: int,
) -> SamplingMetadata:
    """Return the metadata that all images of a folder share."""
    sampling = profile.sampling
    return SamplingMetadata(
        run=run_name,
        step=source.step,
        weights=sampling.weights,
        seed=seed,
        sampler=sampling.sampler,
        steps=len(generator.solver_table),
        eta=sampling.eta,
        guidance=sampling.guidance,
        guidance_interval=sampling.guidance_interval,
        precision=generator.precision,
        guidance_rescale=sampling.guidance_rescale,
        threshold=sampling.threshold,
    )


def write_image(layout: OutputLayout, metadata: SamplingMetadata, sample: "Sample") -> None:
    """Write one image, with its metadata inside the file."""
    from iddm_cli.engine.image_generator import to_image

    spec = sample.spec
    notes = metadata.text_notes(spec.index, layout.classes[spec.label] if layout.classes else "")
    if layout.form in array_files.LOSSY_FORMS:
        content = image_files.encode_image(to_image(sample.pixels), layout.form, notes)
    else:
        values = layout.values.to_values(sample.pixels.numpy())
        content = array_files.encode_values(values, layout.form, notes)
    # Thousands of files: each whole or absent, but not each flushed to the disk by itself.
    durable.write_file(layout.image_path(spec.label, spec.index), content, flush=False)


def write_grid(layout: OutputLayout, in_grid: "dict[int, list[Sample]]") -> Path:
    """Write the first images of each class as grid.png."""
    from iddm_cli.engine.image_generator import to_image

    rows: list[image_files.GridRow] = []
    for label, samples in in_grid.items():
        images = [to_image(sample.pixels) for sample in samples]
        for start in range(0, len(images), GRID_COLUMNS):
            name = layout.classes[label] if layout.classes and start == 0 else ""
            rows.append((name, images[start : start + GRID_COLUMNS]))
    path = layout.folder / "grid.png"
    image_files.save_png(image_files.make_grid(rows), path)
    return path


def write_manifest(
    layout: OutputLayout, metadata: SamplingMetadata, paths: list[Path]
) -> dict[str, object]:
    """Write manifest.json, and return its content."""
    manifest: dict[str, object] = {
        **metadata.to_json(),
        "classes": [layout.classes[label] for label in layout.labels if layout.classes],
        "count": layout.count,
        "images": [path.relative_to(layout.folder).as_posix() for path in paths],
    }
    if layout.values != EIGHT_BIT:
        manifest["values"] = layout.values.to_json()
    content = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    durable.write_file(layout.folder / "manifest.json", content)
    return manifest
