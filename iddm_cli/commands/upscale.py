"""`iddm upscale`: upscale images with a trained run."""

from pathlib import Path
from typing import Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.commands.options import guidance_options, upscaling_options

EXAMPLES = """\
[bold]Examples[/bold]

  iddm upscale large photos                      each image of a folder

  iddm upscale large a.png b.png --out larger    some images

  iddm upscale large photos --steps 20 --noise-level 0.1
"""

RunArgument = Annotated[
    str,
    options.run_argument(
        "Name or folder of a run that upscales, or an exported FILE.safetensors of one.",
    ),
]
ImagesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FOLDER|IMAGE...",
        help="Images to upscale, or folders or archives of them.",
        show_default=False,
        readable=False,
    ),
]
ClassOption = Annotated[
    str | None,
    options.option(
        "--class",
        help="Class of the images. (default: that of the folder they are in)",
        panel=options.SELECTION,
        metavar="NAME|INDEX",
    ),
]
OutOption = Annotated[
    Path | None,
    options.option(
        help="Folder for the images, which keep their names. (default: a new folder inside the "
        "run)",
        panel=options.OUTPUT,
    ),
]


def upscale(
    run: RunArgument,
    images: ImagesArgument,
    class_: ClassOption = None,
    seed: options.SeedOption = 0,
    noise_level: upscaling_options.NoiseLevelOption = None,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    time_grid: options.TimeGridOption = None,
    order: options.OrderOption = None,
    guidance: guidance_options.GuidanceOption = None,
    guidance_interval: guidance_options.GuidanceIntervalOption = None,
    guidance_rescale: guidance_options.GuidanceRescaleOption = None,
    threshold: guidance_options.ThresholdOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    batch_size: options.BatchSizeOption = None,
    device: options.DeviceOption = None,
    precision: options.PrecisionOption = None,
    out: OutOption = None,
    form: options.FormatOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Upscale images with a run that was trained with model.condition: low_resolution.

    A command that was cut off continues where it stopped: give it again, with the same --out.
    """
    from iddm_cli.workflows.upscaling.image_upscaling import UpscaleOptions, upscale_images

    upscale_images(
        UpscaleOptions(
            model=run,
            paths=tuple(images),
            sampling={
                **options.collect_sampling_options(sampler, steps, time_grid, order, weights),
                **guidance_options.collect_guidance_options(
                    guidance, guidance_interval, guidance_rescale, threshold
                ),
                "--batch-size sampling.batch_size": batch_size,
                "--device runtime.device": device,
                "--precision sampling.precision": precision,
            },
            runs_dir=runs_dir,
            class_name=class_,
            seed=seed,
            noise_level=noise_level or 0.0,
            checkpoint=options.parse_checkpoint(checkpoint),
            out=out,
            form=form,
            overwrite=overwrite,
            as_json=json,
        )
    )
