"""Upscale real images with a trained model: `iddm upscale`."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli import durable
from iddm_cli.classes import choose_classes
from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.errors import IddmError
from iddm_cli.workflows import models
from iddm_cli.workflows.generating.output.existing_images import adopt_folder, find_problem
from iddm_cli.workflows.generating.output.output_layout import check_usable
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile
from iddm_cli.workflows.upscaling.model_upscaler import LoadedUpscaler, load_upscaler
from iddm_cli.workflows.upscaling.small_images import load_small_images
from iddm_cli.workflows.upscaling.upscaled_files import (
    describe_folder,
    name_files,
    write_upscaled,
)

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.engine.sampling.small_image import SmallImage
    from iddm_cli.image_files import SamplingMetadata


@dataclass(frozen=True)
class UpscaleOptions:
    """The options of `iddm upscale`.

    Attributes:
        model: Name or folder of a run that upscales, or an exported file.
        paths: The images, folders and archives to upscale.
        sampling: Options that change the profile, see `load_sampling_profile`.
        runs_dir: Folder of all runs; None: the usual one.
        class_name: Name or index of the class of all images; None: that of their folders.
        seed: Random seed.
        noise_level: Level of the noise that images get first, from 0 to 1.
        checkpoint: The checkpoint.
        out: The folder; None: a new one.
        form: File format; None: one that can hold the values.
        overwrite: Whether the folder may hold other files already, and existing images are
            upscaled again.
        as_json: Whether the result is printed as JSON.
    """

    model: str
    paths: tuple[Path, ...]
    sampling: Mapping[str, object] = field(default_factory=dict)
    runs_dir: Path | None = None
    class_name: str | None = None
    seed: int = 0
    noise_level: float = 0.0
    checkpoint: models.CheckpointChoice = None
    out: Path | None = None
    form: str | None = None
    overwrite: bool = False
    as_json: bool = False


def upscale_images(options: UpscaleOptions) -> None:
    """Upscale images, and write each as soon as it is done; what is there already is kept.

    Raises:
        IddmError: An option is invalid, the model or an image is damaged, or the folder cannot be
            written to.
    """
    from iddm_cli.workflows.generating.generation import resolve_form

    model = models.find_model(options.runs_dir, options.model)
    profile = load_sampling_profile(model, dict(options.sampling), upscales=True)
    given = None
    if options.class_name is not None:
        given = choose_classes([options.class_name], model.classes)[0]
    out = options.out or model.default_output_dir()
    form = resolve_form(options.form, model.values, profile.data.channels)
    check_usable(out, overwrite=options.overwrite)
    with show_progress() as progress:
        images = load_small_images(
            options.paths, profile, model.values, model.classes, given=given, progress=progress
        )
        paths = name_files([image.name for image in images], form)
        loaded = load_upscaler(
            model, profile, options.checkpoint, options.noise_level, progress=progress
        )
    metadata = loaded.describe(options.seed)
    manifest = describe_folder(metadata, images, paths, model.values)
    with _report_failed_write(out):
        out.mkdir(parents=True, exist_ok=True)
        adopt_folder(out, manifest, overwrite=options.overwrite)
    missing = [
        (image, out / path)
        for image, path in zip(images, paths, strict=True)
        if options.overwrite or find_problem(out / path)
    ]
    _write_missing(loaded, missing, metadata, options.seed)
    durable.remove_leftovers([out / path for path in paths])
    _report(options, out, manifest, loaded, total=len(images), written=len(missing))


def _write_missing(
    loaded: LoadedUpscaler,
    missing: "Sequence[tuple[SmallImage, Path]]",
    metadata: "SamplingMetadata",
    seed: int,
) -> None:
    """Upscale images, and write them."""
    model, done = loaded.model, 0
    try:
        with show_progress() as progress:
            for image, path, pixels in run_batches(loaded, missing, seed):
                with _report_failed_write(path):
                    write_upscaled(path, pixels, image, metadata, model.classes, model.values)
                done += 1
                progress("upscaling images", done, len(missing))
    except KeyboardInterrupt:
        console.print_note(
            f"{done:,} of {len(missing):,} images were upscaled; the same command with the same "
            "--out upscales the others"
        )
        raise


def run_batches(
    loaded: LoadedUpscaler, missing: "Sequence[tuple[SmallImage, Path]]", seed: int
) -> "Iterator[tuple[SmallImage, Path, Tensor]]":
    """Yield each image, its file, and its upscaled pixels, [H, W, C]; those of one size together.

    Args:
        loaded: What upscales them.
        missing: Images and their files.
        seed: Random seed.
    """
    import torch

    from iddm_cli.engine.image_generator import SampleSpec

    by_size: dict[tuple[int, int], list[tuple[SmallImage, Path]]] = {}
    for one in missing:
        by_size.setdefault(one[0].size, []).append(one)
    for size, group in by_size.items():
        most = loaded.choose_batch_size(size)
        for start in range(0, len(group), most):
            batch = group[start : start + most]
            specs = [SampleSpec(image.label, image.noise) for image, _ in batch]
            low = torch.stack([image.planes for image, _ in batch])
            upscaled = loaded.upscaler.upscale(low, specs, seed=seed).cpu()
            for (image, path), pixels in zip(batch, upscaled, strict=True):
                yield image, path, pixels


@contextlib.contextmanager
def _report_failed_write(path: Path) -> Iterator[None]:
    """Turn an OSError into an error that names the file or folder."""
    try:
        yield
    except OSError as error:
        raise IddmError(
            f"{path} cannot be written: {error.strerror or error}",
            "The same command with the same --out continues.",
        ) from error


def _report(
    options: UpscaleOptions,
    out: Path,
    manifest: dict[str, object],
    loaded: LoadedUpscaler,
    *,
    total: int,
    written: int,
) -> None:
    if options.as_json:
        console.print_json({**manifest, "out": str(out), "missing": 0})
        return
    console.print_result(str(out))
    before = f"; {total - written:,} of them were there already" if written < total else ""
    console.print_note(
        f"{total:,} images in {out}, {loaded.factor} times as large, computed in "
        f"{loaded.upscaler.generator.precision}{before}"
    )
