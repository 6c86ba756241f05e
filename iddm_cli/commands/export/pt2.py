"""`iddm export pt2`: the denoiser as torch.export or AOTInductor keep it."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.workflows import exporting, models

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
    run: options.ModelArgument = None,
    aot: AotOption = False,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    guidance: options.GuidanceOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    out: FileOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write the denoiser as torch.export keeps it, and the table of its sampler."""
    found = models.find_model(runs_dir, run)
    path = out or Path(f"{found.name}.pt2")
    exporting.check_file(path, overwrite=overwrite)
    given = options.collect_sampling_options(sampler, steps, guidance, weights)
    model = exporting.load(found, given, options.parse_checkpoint(checkpoint))

    from iddm_cli.display import progress
    from iddm_cli.export.pt2 import build_pt2

    with progress.show_spinner("compiling" if aot else "exporting"):
        made, off = build_pt2(model, aot=aot)
    exporting.write_file(path, made)
    record_dataset = f"its estimates of x are within {off:.2g} of the model's"
    exporting.tell(model, "pt2", path, record_dataset, as_json=json, aot=aot, difference=off)
