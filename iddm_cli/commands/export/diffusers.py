"""`iddm export diffusers`: a folder that diffusers loads."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.workflows import exporting, models

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export diffusers                          the run last trained

  iddm export diffusers first --out steel --guidance 2
"""

FolderOption = Annotated[
    Path | None,
    options.option(
        "--out", help="The folder. (default: RUN-diffusers)", panel=options.OUTPUT, metavar="FOLDER"
    ),
]


def diffusers(
    run: options.ModelArgument = None,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    guidance: options.GuidanceOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    out: FolderOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write a folder that diffusers loads: UNet2DModel, scheduler, pipeline, model card."""
    found = models.find_model(runs_dir, run)
    folder = out or Path(f"{found.name}-diffusers")
    exporting.check_folder(folder, overwrite=overwrite)
    given = options.collect_sampling_options(sampler, steps, guidance, weights)
    model = exporting.load(found, given, options.parse_checkpoint(checkpoint))

    from iddm_cli.display import console
    from iddm_cli.export.diffusers import build_diffusers_folder, sampling_difference

    other = sampling_difference(model.profile.sampling)
    if other:
        console.print_warning(other)
    exporting.write_folder(folder, build_diffusers_folder(model))
    note = f"how to use it is in {folder}/README.md"
    exporting.tell(model, "diffusers", folder, note, as_json=json)
