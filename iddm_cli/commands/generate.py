"""`iddm generate`: generate images with a trained model."""

from pathlib import Path
from typing import Annotated, Literal

from iddm_cli.commands import options
from iddm_cli.commands.options import guidance_options, upscaling_options
from iddm_cli.workflows.generating.generate_options import DEFAULT_COUNT, GenerateOptions

EXAMPLES = """\
[bold]Examples[/bold]

  iddm generate --class scratches --count 16     use the latest run

  iddm generate first --class 3 --sampler ddim --steps 50 --guidance 2

  iddm generate first --class all --count 1000 --out new-images --devices 2

  iddm generate first --count 1000 --out new-images --shard 3/16   one share of 16, from 0 to 15

  iddm generate first --class 3 --index 7,12     only these two of them

  iddm generate first --from photos --strength 0.6 --count 4     variations of photos

  iddm generate first --from a.png --mask m.png --class 3        replace what the mask shows

  iddm generate wood --size 512x768              larger than the crops that it was trained on

  iddm generate steel.safetensors                use an exported file
"""
STARTING = "Where sampling starts"

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
StartOption = Annotated[
    int | None,
    options.option(
        help="Index of the first image of each class. (default: 0)",
        panel=options.SELECTION,
        at_least=0,
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
FromOption = Annotated[
    Path | None,
    options.option(
        "--from",
        help="Image, or folder of images, to generate variations of; --count of each.",
        panel=STARTING,
        metavar="IMAGE|FOLDER",
    ),
]
StrengthOption = Annotated[
    float | None,
    options.option(
        help="Share of the noise schedule that --from goes back, and of the steps that are taken: "
        "0 returns the image, 1 ignores it. (default: 0.5, or 1 with --mask)",
        panel=STARTING,
        at_least=0,
        at_most=1,
        metavar="SHARE",
    ),
]
MaskOption = Annotated[
    Path | None,
    options.option(
        help="Mask for --from, or folder of masks with the names of the images: white is "
        "generated, black is kept exactly.",
        panel=STARTING,
        metavar="MASK|FOLDER",
    ),
]
InterpolateOption = Annotated[
    str | None,
    options.option(
        help="N images on the way from the noise of index A to that of index B.",
        panel=STARTING,
        metavar="A:B:N",
    ),
]
SizeOption = Annotated[
    str | None,
    options.option(
        help="Size other than the one that the model was trained at: 64, or 64x96 "
        "(height x width).",
        panel=STARTING,
        metavar="N|HxW",
    ),
]
WindowsOption = Annotated[
    bool | None,
    options.option(
        "--windows/--no-windows",
        help="Whether a larger --size is computed in overlapping windows of the trained size. "
        "(default: if the model was trained on crops)",
        panel=STARTING,
    ),
]
OverlapOption = Annotated[
    float | None,
    options.option(
        help="Share of its side that a window has in common with the next one. (default: the "
        "profile's, 0.5)",
        panel=STARTING,
        at_least=0,
        at_most=0.9,
        metavar="SHARE",
    ),
]
UpscaleOption = Annotated[
    str | None,
    options.option(
        help="Run that upscales each image, trained with model.condition: low_resolution.",
        panel=options.SAMPLING,
        metavar="RUN",
    ),
]
TrajectoryOption = Annotated[
    Literal["webp", "gif"] | None,
    options.option(
        help="Also save the way from noise to image, as a strip and as an animation, of up to 16 "
        "images.",
        panel=options.OUTPUT,
    ),
]
OutOption = Annotated[
    Path | None,
    options.option(
        help="Folder for the images. (default: a new folder inside the run)",
        panel=options.OUTPUT,
    ),
]
GenerateDevicesOption = Annotated[
    str | None,
    options.option(
        "--devices",
        help="Number of devices to generate on, or GPU indices: 4, or 0,2. (default: 1)",
        panel=options.COMPUTING,
        metavar="N|N,N",
    ),
]
ShardOption = Annotated[
    str | None,
    options.option(
        help="Generate one share of N, which are counted from 0 and write into one --out; slurm: "
        "that of this task of an array job.",
        panel=options.COMPUTING,
        metavar="K/N|slurm",
    ),
]
CheckOption = Annotated[
    bool,
    options.option(
        "--check",
        help="Generate nothing; name the images that are missing or damaged in --out.",
        panel=options.OUTPUT,
    ),
]
ToOption = Annotated[
    Literal["tar", "parquet"] | None,
    options.option(
        help="Write shards of 1,000 images instead of a folder, for webdataset or Hugging Face "
        "datasets; without an overview.",
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
    start: StartOption = None,
    index: IndexOption = None,
    seed: options.SeedOption = 0,
    same_noise: options.SameNoiseOption = False,
    source: FromOption = None,
    strength: StrengthOption = None,
    mask: MaskOption = None,
    interpolate: InterpolateOption = None,
    size: SizeOption = None,
    windows: WindowsOption = None,
    overlap: OverlapOption = None,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    time_grid: options.TimeGridOption = None,
    order: options.OrderOption = None,
    guidance: guidance_options.GuidanceOption = None,
    guidance_interval: guidance_options.GuidanceIntervalOption = None,
    guidance_rescale: guidance_options.GuidanceRescaleOption = None,
    threshold: guidance_options.ThresholdOption = None,
    guide_with: guidance_options.GuideWithOption = None,
    upscale: UpscaleOption = None,
    noise_level: upscaling_options.NoiseLevelOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    batch_size: options.BatchSizeOption = None,
    device: options.DeviceOption = None,
    devices: GenerateDevicesOption = None,
    shard: ShardOption = None,
    precision: options.PrecisionOption = None,
    out: OutOption = None,
    form: options.FormatOption = None,
    to: ToOption = None,
    grid: GridOption = True,
    trajectory: TrajectoryOption = None,
    overwrite: options.OverwriteOption = False,
    check: CheckOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> int:
    """Generate images with a trained run.

    A command that was cut off continues where it stopped: give it again, with the same --out.
    """
    from iddm_cli.workflows.generating import checking, launch

    if check:
        return checking.check_images(out, as_json=json)
    sampling = {
        **options.collect_sampling_options(sampler, steps, time_grid, order, weights),
        **guidance_options.collect_guidance_options(
            guidance, guidance_interval, guidance_rescale, threshold
        ),
        "--batch-size sampling.batch_size": batch_size,
        "--device runtime.device": device,
        "--precision sampling.precision": precision,
        "--overlap sampling.window_overlap": overlap,
    }
    return launch.generate(
        GenerateOptions(
            model=run,
            runs_dir=runs_dir,
            classes=None if class_ is None else tuple(class_),
            count=count,
            start=start,
            index=index,
            seed=seed,
            same_noise=same_noise,
            source=source,
            strength=strength,
            mask=mask,
            interpolate=interpolate,
            trajectory=trajectory,
            size=None if size is None else options.parse_sides(size, "--size"),
            windows=windows,
            sampling=sampling,
            checkpoint=options.parse_checkpoint(checkpoint),
            guide_with=guide_with,
            upscale=upscale,
            noise_level=noise_level,
            out=out,
            form=form,
            to=to,
            grid=grid and to is None,
            overwrite=overwrite,
            devices=options.parse_devices(devices),
            shard=shard,
            as_json=json,
        )
    )
