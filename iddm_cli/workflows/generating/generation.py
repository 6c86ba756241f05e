"""One process's part of a generation, from what `iddm generate` is asked for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli import array_files
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
from iddm_cli.workflows.generating.image_shares import Shard
from iddm_cli.workflows.generating.image_size import set_size
from iddm_cli.workflows.generating.output.output_layout import OutputLayout, check_usable
from iddm_cli.workflows.sampling.guiding import GuidingModel, check_scale, find_guiding_model
from iddm_cli.workflows.sampling.sampling_precision import build_sampling_generator, count_steps
from iddm_cli.workflows.upscaling.cascade import (
    add_second_model,
    build_cascade,
    enlarge_profile,
    load_second_model,
)

if TYPE_CHECKING:
    import torch

    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.image_generator import ImageGenerator
    from iddm_cli.engine.sampling.upscaler import Cascade
    from iddm_cli.profiles.profile import ResolvedProfile


@dataclass(frozen=True)
class Generation:
    """One process's part of a generation.

    Attributes:
        options: The options.
        profile: The profile, with the sampling section to use.
        plan: The images of all processes.
        layout: The files to write.
        generator: What generates them.
        metadata: The metadata that they share.
        group: The processes that share this machine.
        shard: The share of this process.
    """

    options: GenerateOptions
    profile: "ResolvedProfile"
    plan: GenerationPlan
    layout: OutputLayout
    generator: "ImageGenerator | Cascade"
    metadata: SamplingMetadata
    group: "ProcessGroup"
    shard: Shard


def prepare_generation(
    options: GenerateOptions,
    trained: "ResolvedProfile",
    shard: Shard,
    group: "ProcessGroup",
    device: "torch.device",
) -> Generation:
    """Load the model, and plan what is generated.

    Args:
        options: The options.
        trained: The model's profile, with the sampling options.
        shard: The share of this process.
        group: The processes that share this machine.
        device: The device.

    Raises:
        IddmError: An option is invalid, the model is damaged, or the folder holds other files.
    """
    model = models.find_model(options.runs_dir, options.model)
    profile = trained
    if options.size is not None:
        batch_size = options.sampling.get("--batch-size sampling.batch_size")
        profile = set_size(
            trained, options.size, keep_batch=batch_size is not None, windows=options.windows
        )
    form = resolve_form(options.form, model.values, profile.data.channels)
    out = options.out or model.default_output_dir()
    check_usable(out, overwrite=options.overwrite)
    with show_progress() as progress:
        plan = plan_generation(options, model, profile, progress)
    layout = OutputLayout(
        out, model.classes, plan.labels, form, grid=options.grid, values=model.values
    )
    source = model.open_weights(options.checkpoint, profile.sampling.weights)
    guide = find_guiding_model(options.guide_with, model, trained, source, options.runs_dir)
    check_scale(guide, profile.sampling.guidance)
    with show_progress() as progress:
        generator = build_sampling_generator(
            model,
            profile,
            source,
            progress=progress,
            guide=guide,
            device=device,
            group=group,
        )
    if plan.known is not None:
        generator = generator.starting_from(plan.known)
    metadata = describe_sampling(model, profile, source, generator, options, guide)
    if options.upscale is None:
        return Generation(options, profile, plan, layout, generator, metadata, group, shard)
    with show_progress() as progress:
        loaded = load_second_model(options, model, profile, progress, device, group)
    cascade = build_cascade(generator, loaded, model.classes)
    metadata = add_second_model(metadata, loaded)
    profile = enlarge_profile(profile, loaded.factor)
    return Generation(options, profile, plan, layout, cascade, metadata, group, shard)


def resolve_form(form: str | None, values: ValueRange, channels: int) -> str:
    """Return the file format of a model's images: the given one, or one that can hold them.

    Raises:
        UsageError: The given one cannot, or a package is missing.
    """
    if form is None:
        return array_files.choose_form(values, channels)
    array_files.check_form(form, values, channels)
    return form


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
        windows=describe_windows(profile),
    )


def describe_windows(profile: "ResolvedProfile") -> str:
    """Return the windows that images are computed in; "" where they are computed whole."""
    window = profile.data.window_size
    if window is None:
        return ""
    return f"{window[0]}x{window[1]}, overlap {profile.sampling.window_overlap:g}"
