"""`iddm generate`: generate images with a trained model."""

from pathlib import Path
from typing import Annotated, Literal

from iddm_cli.commands import options
from iddm_cli.commands.options import guidance_options
from iddm_cli.workflows.generating.generate_options import DEFAULT_COUNT, GenerateOptions

EXAMPLES = """\
[bold]Examples[/bold]

  iddm generate --class scratches --count 16     use the latest run

  iddm generate first --class 3 --sampler ddim --steps 50 --guidance 2

  iddm generate first --class all --count 1000 --out new-images --no-grid

  iddm generate first --class 3 --index 7,12     only these two of them

  iddm generate steel.safetensors                use an exported file
"""
ClassOption = Annotated[
    list[str] | None,
    options.option(
        "--class",
        help="Class to generate; may be repeated. (default: all)",
        panel=options.SELECTION,
        metavar="NAME|INDEX|all",
    ),
]
CountOption = Annotated[
    int | None,
    options.option(
        help=f"Number of images per class. (default: {DEFAULT_COUNT})",
        panel=options.SELECTION,
        at_least=1,
    ),
]
IndexOption = Annotated[
    str | None,
    options.option(
        help="Indices of the images to generate, instead of --count: 7,12,20-30.",
        panel=options.SELECTION,
        metavar="N,N-N,...",
    ),
]
OutOption = Annotated[
    Path | None,
    options.option(
        help="Folder for the images. (default: a new folder inside the run)",
        panel=options.OUTPUT,
    ),
]
FormatOption = Annotated[
    Literal["png", "jpg", "webp", "tiff", "npy"] | None,
    options.option(
        "--format",
        help="File format of the images. (default: png, or tiff or npy where a PNG cannot hold "
        "their values)",
        panel=options.OUTPUT,
    ),
]
GridOption = Annotated[
    bool,
    options.option(
        "--grid/--no-grid",
        help="Also save an overview of each class as grid.png.",
        panel=options.OUTPUT,
        show_default=True,
    ),
]


def generate(
    run: options.ModelArgument = None,
    class_: ClassOption = None,
    count: CountOption = None,
    index: IndexOption = None,
    seed: options.SeedOption = 0,
    same_noise: options.SameNoiseOption = False,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    time_grid: options.TimeGridOption = None,
    order: options.OrderOption = None,
    guidance: guidance_options.GuidanceOption = None,
    guidance_interval: guidance_options.GuidanceIntervalOption = None,
    guidance_rescale: guidance_options.GuidanceRescaleOption = None,
    threshold: guidance_options.ThresholdOption = None,
    guide_with: guidance_options.GuideWithOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    batch_size: options.BatchSizeOption = None,
    device: options.DeviceOption = None,
    precision: options.PrecisionOption = None,
    out: OutOption = None,
    form: FormatOption = None,
    grid: GridOption = True,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Generate images with a trained run."""
    from iddm_cli.workflows.generating import generation

    sampling = {
        **options.collect_sampling_options(sampler, steps, time_grid, order, weights),
        **guidance_options.collect_guidance_options(
            guidance, guidance_interval, guidance_rescale, threshold
        ),
        "--batch-size sampling.batch_size": batch_size,
        "--device runtime.device": device,
        "--precision sampling.precision": precision,
    }
    generation.generate(
        GenerateOptions(
            model=run,
            runs_dir=runs_dir,
            classes=None if class_ is None else tuple(class_),
            count=count,
            index=index,
            seed=seed,
            same_noise=same_noise,
            sampling=sampling,
            checkpoint=options.parse_checkpoint(checkpoint),
            guide_with=guide_with,
            out=out,
            form=form,
            grid=grid,
            overwrite=overwrite,
            as_json=json,
        )
    )
