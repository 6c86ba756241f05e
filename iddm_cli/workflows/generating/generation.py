"""Image generation: a folder of images, from what `iddm generate` is asked for."""

from typing import TYPE_CHECKING

from iddm_cli import array_files
from iddm_cli.classes import choose_classes
from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.value_range import ValueRange
from iddm_cli.workflows import models
from iddm_cli.workflows.generating.generate_options import DEFAULT_COUNT, GenerateOptions
from iddm_cli.workflows.generating.image_plan import PlannedImage, plan_images
from iddm_cli.workflows.generating.number_lists import check_total, parse_indices
from iddm_cli.workflows.generating.output_files import (
    GridRows,
    write_grid,
    write_image,
    write_manifest,
)
from iddm_cli.workflows.generating.output_layout import OutputLayout
from iddm_cli.workflows.guiding import GuidingModel, check_scale, find_guiding_model

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.engine.image_generator import ImageGenerator
    from iddm_cli.profiles.profile import ResolvedProfile


def generate(options: GenerateOptions) -> None:
    """Generate images, and write each as it comes.

    Raises:
        IddmError: An option is invalid, the model is damaged, or the folder cannot be written to.
    """
    options.check()
    indices = None if options.index is None else parse_indices(options.index)
    model = models.find_model(options.runs_dir, options.model)
    profile = models.load_sampling_profile(
        model, dict(options.sampling), autoguided=options.guide_with is not None
    )
    labels = choose_classes(options.classes or ["all"], model.classes)
    count = options.count or DEFAULT_COUNT
    check_total(
        len(labels) * len(indices or range(count)), "--index" if indices else f"--count {count}"
    )
    layout = OutputLayout(
        options.out or model.default_output_dir(),
        model.classes,
        labels,
        resolve_form(options.form, model.values, profile.data.channels),
        grid=options.grid,
        values=model.values,
    )
    layout.check_empty(overwrite=options.overwrite)
    source = model.open_weights(options.checkpoint, profile.sampling.weights)
    guide = find_guiding_model(options.guide_with, model, profile, source, options.runs_dir)
    check_scale(guide, profile.sampling.guidance)
    images = plan_images(labels, indices or range(count), own_noise=has_own_noise(options, model))
    facts: dict[str, object] = {"count": len(indices or range(count))}
    generate_images(layout, images, model, profile, source, options, facts, guide)


def has_own_noise(options: GenerateOptions, model: models.ModelSource) -> bool:
    """Return whether each class has its own noise; without classes both rules are the same."""
    return bool(model.classes) and not options.same_noise


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
    images: list[PlannedImage],
    model: models.ModelSource,
    profile: "ResolvedProfile",
    source: "WeightsSource",
    options: GenerateOptions,
    facts: dict[str, object],
    guide: GuidingModel | None = None,
) -> None:
    """Generate the images, and write each as it comes.

    Args:
        layout: The files to write.
        images: The images.
        model: The model.
        profile: Its profile, with the sampling section to use.
        source: Its weights.
        options: What is asked for.
        facts: What of it the manifest records besides the metadata.
        guide: The weaker model of autoguidance.

    Raises:
        IddmError: The weights are damaged, or the folder cannot be written to.
    """
    from iddm_cli.workflows.sampling_precision import build_sampling_generator

    with show_progress() as progress:
        generator = build_sampling_generator(
            model, profile, source, images=len(images), progress=progress, guide=guide
        )
    own_noise = has_own_noise(options, model)
    metadata = describe_sampling(
        model.name, profile, source, generator, options.seed, own_noise=own_noise, guide=guide
    )
    layout.create_folders()
    rows = GridRows(layout)
    specs = [image.spec for image in images]
    with show_progress() as progress:
        batch_size = profile.sampling.batch_size
        samples = generator.generate(specs, seed=options.seed, batch_size=batch_size)
        for done, (image, sample) in enumerate(zip(images, samples, strict=True), start=1):
            with layout.report_failed_write(done - 1, len(images)):
                write_image(layout, metadata, image, sample.pixels)
            rows.add(image, sample.pixels)
            progress("generating images", done, len(images))
    with layout.report_failed_write(len(images), len(images)):
        grid = write_grid(layout, rows.list_rows()) if layout.grid else None
        manifest = write_manifest(layout, metadata, images, facts)
    if options.as_json:
        console.print_json(manifest | {"out": str(layout.folder), "grid": grid and str(grid)})
    else:
        console.print_result(str(grid or layout.folder))
        content = _describe_files(layout, profile)
        console.print_note(
            f"{len(images)} images in {layout.folder}, computed in {generator.precision}{content}"
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
    *,
    own_noise: bool,
    guide: GuidingModel | None = None,
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
        time_grid=sampling.grid,
        order=sampling.sampler_options.get("order"),
        eta=sampling.eta,
        guidance=sampling.guidance,
        guidance_interval=sampling.guidance_interval,
        precision=generator.precision,
        guidance_rescale=sampling.guidance_rescale,
        threshold=sampling.threshold,
        guide_with=guide.name if guide else "",
        noise="own" if own_noise else "same",
    )
