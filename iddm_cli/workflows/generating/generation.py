"""Image generation: a folder of images, from what `iddm generate` is asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from iddm_cli import array_files
from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.value_range import ValueRange
from iddm_cli.workflows import models
from iddm_cli.workflows.generating.generate_options import GenerateOptions
from iddm_cli.workflows.generating.generation_plan import (
    GenerationPlan,
    has_own_noise,
    plan_generation,
)
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.image_size import set_size
from iddm_cli.workflows.generating.output_files import write_grid, write_image, write_manifest
from iddm_cli.workflows.generating.output_layout import OutputLayout, check_empty
from iddm_cli.workflows.generating.trajectory_files import (
    choose_images,
    count_frames,
    write_trajectory,
)
from iddm_cli.workflows.guiding import GuidingModel, check_scale, find_guiding_model
from iddm_cli.workflows.sampling_precision import build_sampling_generator, count_steps

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
    from iddm_cli.engine.sampling.trajectories import Trajectory, TrajectoryRecorder
    from iddm_cli.profiles.profile import ResolvedProfile


def generate(options: GenerateOptions) -> None:
    """Generate images, and write each as it comes.

    Raises:
        IddmError: An option is invalid, the model is damaged, or the folder cannot be written to.
    """
    options.check()
    model = models.find_model(options.runs_dir, options.model)
    trained = models.load_sampling_profile(
        model, dict(options.sampling), autoguided=options.guide_with is not None
    )
    profile = trained
    if options.size is not None:
        batch_size = options.sampling.get("--batch-size sampling.batch_size")
        profile = set_size(trained, options.size, keep_batch=batch_size is not None)
    form = resolve_form(options.form, model.values, profile.data.channels)
    out = options.out or model.default_output_dir()
    check_empty(out, overwrite=options.overwrite)
    with show_progress() as progress:
        plan = plan_generation(options, model, profile, progress)
    layout = OutputLayout(
        out, model.classes, plan.labels, form, grid=options.grid, values=model.values
    )
    source = model.open_weights(options.checkpoint, profile.sampling.weights)
    guide = find_guiding_model(options.guide_with, model, trained, source, options.runs_dir)
    check_scale(guide, profile.sampling.guidance)
    with show_progress() as progress:
        generator = build_sampling_generator(model, profile, source, progress=progress, guide=guide)
    if plan.known is not None:
        generator = generator.starting_from(plan.known)
    metadata = describe_sampling(model, profile, source, generator, options, guide)
    generate_images(layout, plan, generator, metadata, profile, options)


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
    plan: GenerationPlan,
    generator: "ImageGenerator",
    metadata: SamplingMetadata,
    profile: "ResolvedProfile",
    options: GenerateOptions,
) -> None:
    """Generate images, and write each as it comes.

    Args:
        layout: The files to write.
        plan: The images.
        generator: What generates them.
        metadata: The metadata that they share.
        profile: The profile, with the sampling section to use.
        options: The options.

    Raises:
        IddmError: The folder cannot be written to.
    """
    layout.create_folders()
    total = len(plan.images)
    rows = plan.collect_rows(layout)
    trajectories: list[str] = []
    with show_progress() as progress:
        results = run_plan(plan, generator, profile.sampling.batch_size, options)
        for done, (image, pixels, way) in enumerate(results, start=1):
            with layout.report_failed_write(done - 1, total):
                write_image(layout, metadata, image, pixels)
                if way is not None and options.trajectory is not None:
                    paths = write_trajectory(layout, image, way, pixels, options.trajectory)
                    trajectories += [path.name for path in paths]
            rows.add(image, pixels)
            progress("generating images", done, total)
    with layout.report_failed_write(total, total):
        grid = write_grid(layout, rows.list_rows()) if layout.grid else None
        facts = plan.facts | ({"trajectories": trajectories} if trajectories else {})
        manifest = write_manifest(layout, metadata, plan.images, facts)
    if options.as_json:
        console.print_json(manifest | {"out": str(layout.folder), "grid": grid and str(grid)})
    else:
        console.print_result(str(grid or layout.folder))
        content = _describe_files(layout, profile)
        console.print_note(
            f"{total} images in {layout.folder}, computed in {generator.precision}{content}"
        )
    if not generator.is_invariant:
        console.print_warning(
            f"on this machine an image in {generator.precision} depends on its batch; for images "
            "that do not: --precision fp32"
        )


def run_plan(
    plan: GenerationPlan, generator: "ImageGenerator", batch_size: int, options: GenerateOptions
) -> "Iterator[tuple[PlannedImage, Tensor, Trajectory | None]]":
    """Yield each image, its pixels, [H, W, C], and its trajectory if it is recorded."""
    recorder = build_recorder(plan, generator, options)
    specs = [image.spec for image in plan.images]
    samples = generator.generate(specs, seed=options.seed, batch_size=batch_size, recorder=recorder)
    for image, sample in zip(plan.images, samples, strict=True):
        yield image, sample.pixels, recorder.take(image.spec) if recorder else None


def build_recorder(
    plan: GenerationPlan, generator: "ImageGenerator", options: GenerateOptions
) -> "TrajectoryRecorder[SampleSpec] | None":
    """Return what records the trajectories that are asked for; None where none are."""
    from iddm_cli.engine.image_generator import to_pixels
    from iddm_cli.engine.sampling.trajectories import TrajectoryRecorder

    if options.trajectory is None:
        return None
    chosen = choose_images(plan.images)
    if len(chosen) < len(plan.images):
        console.print_note(
            f"--trajectory: of {len(plan.images):,} images, the trajectories of {len(chosen)} are "
            "written (--count or --index chooses others)"
        )
    specs = [image.spec for image in chosen]
    return TrajectoryRecorder(
        specs,
        steps=len(generator.solver_table),
        most=count_frames(generator.shape, len(specs)),
        convert=to_pixels,
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
    model: models.ModelSource,
    profile: "ResolvedProfile",
    source: "WeightsSource",
    generator: "ImageGenerator",
    options: GenerateOptions,
    guide: GuidingModel | None = None,
) -> SamplingMetadata:
    """Return the metadata that all images of a folder share."""
    resized = options.size is not None and options.size != model.load_profile([]).data.size
    return SamplingMetadata(
        **profile.sampling.to_metadata(),
        run=model.name,
        step=source.step,
        seed=options.seed,
        # Those that the command asks for; of variations, only a share of them is taken.
        steps=count_steps(profile) if generator.known else len(generator.solver_table),
        precision=generator.precision,
        guide_with=guide.name if guide else "",
        noise="own" if has_own_noise(options, model) else "same",
        strength=1.0 if options.source is None else options.effective_strength,
        interpolate=options.interpolate or "",
        size="x".join(map(str, profile.data.size)) if resized else "",
    )
