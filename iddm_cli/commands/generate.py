"""`iddm generate`: generate images with a trained model."""

from pathlib import Path
from typing import Annotated, Literal

from iddm_cli.classes import choose_classes
from iddm_cli.commands import options
from iddm_cli.workflows import models

EXAMPLES = """\
[bold]Examples[/bold]

  iddm generate --class scratches --count 16     use the latest run

  iddm generate first --class 3 --sampler ddim --steps 50 --guidance 2

  iddm generate first --class all --count 1000 --out new-images --no-grid

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
    int,
    options.option(
        help="Number of images per class.", panel=options.SELECTION, at_least=1, show_default=True
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
    count: CountOption = 16,
    seed: options.SeedOption = 0,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    time_grid: options.TimeGridOption = None,
    guidance: options.GuidanceOption = None,
    guidance_interval: options.GuidanceIntervalOption = None,
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
    from iddm_cli.workflows import generation

    model = models.find_model(runs_dir, run)
    given = {
        **options.collect_sampling_options(
            sampler, steps, time_grid, guidance, guidance_interval, weights
        ),
        "--batch-size sampling.batch_size": batch_size,
        "--device runtime.device": device,
        "--precision sampling.precision": precision,
    }
    profile = models.load_sampling_profile(model, given)
    labels = choose_classes(class_ or ["all"], model.classes)
    step = options.parse_checkpoint(checkpoint)
    layout = generation.OutputLayout(
        out or model.default_output_dir(),
        model.classes,
        labels,
        count,
        generation.resolve_form(form, model.values, profile.data.channels),
        grid=grid,
        values=model.values,
    )
    layout.check_count()
    layout.check_empty(overwrite=overwrite)
    source = model.open_weights(step, profile.sampling.weights)
    generation.generate_images(layout, model, profile, source, seed=seed, as_json=json)
