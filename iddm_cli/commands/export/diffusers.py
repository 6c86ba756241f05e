"""`iddm export diffusers`: a folder that diffusers loads."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options, trained
from iddm_cli.commands.export import writing

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
    run: trained.ModelArgument = None,
    sampler: trained.SamplerOption = None,
    steps: trained.StepsOption = None,
    guidance: trained.GuidanceOption = None,
    checkpoint: trained.CheckpointOption = "last",
    weights: trained.WeightsOption = None,
    out: FolderOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write a folder that diffusers loads: UNet2DModel, scheduler, pipeline, model card."""
    found = trained.find(runs_dir, run)
    folder = out or Path(f"{found.name}-diffusers")
    writing.check_folder(folder, overwrite=overwrite)
    given = trained.given_sampling(sampler, steps, guidance, weights)
    model = writing.load(found, given, checkpoint)

    from iddm_cli.display import console
    from iddm_cli.export.diffusers import drawn_otherwise, files

    other = drawn_otherwise(model.profile.sampling)
    if other:
        console.warn(other)
    writing.write_folder(folder, files(model))
    note = f"how to use it is in {folder}/README.md"
    writing.tell(model, "diffusers", folder, note, as_json=json)
