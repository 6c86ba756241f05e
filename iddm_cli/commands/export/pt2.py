"""`iddm export pt2`: the denoiser as torch.export or AOTInductor keep it."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options, trained
from iddm_cli.commands.export import writing

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export pt2 first

  iddm export pt2 first --aot                    compiled for this machine's processor
"""

FileOption = Annotated[
    Path | None,
    options.option(
        "--out", help="The file. (default: RUN.pt2)", panel=options.OUTPUT, metavar="FILE"
    ),
]
AotOption = Annotated[
    bool,
    options.option(
        "--aot",
        help="Compile it with AOTInductor, for processors like this one; takes minutes.",
        panel=options.COMPUTING,
    ),
]


def pt2(
    run: trained.ModelArgument = None,
    aot: AotOption = False,
    sampler: trained.SamplerOption = None,
    steps: trained.StepsOption = None,
    guidance: trained.GuidanceOption = None,
    checkpoint: trained.CheckpointOption = "last",
    weights: trained.WeightsOption = None,
    out: FileOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write the denoiser as torch.export keeps it, and the table of its sampler."""
    found = trained.find(runs_dir, run)
    path = out or Path(f"{found.name}.pt2")
    writing.check_file(path, overwrite=overwrite)
    given = trained.given_sampling(sampler, steps, guidance, weights)
    model = writing.load(found, given, checkpoint)

    from iddm_cli.display import progress
    from iddm_cli.export.pt2 import content

    with progress.waiting("compiling" if aot else "exporting"):
        made, off = content(model, aot=aot)
    writing.write_file(path, made)
    note = f"its estimates of x are within {off:.2g} of the model's"
    writing.tell(model, "pt2", path, note, as_json=json, aot=aot, difference=off)
