"""`iddm export safetensors`: one file with the weights and all that using them needs."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options, trained
from iddm_cli.commands.export import writing
from iddm_cli.errors import UsageError
from iddm_cli.exported import SUFFIX

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export safetensors first

  iddm generate first.safetensors --class cat    anywhere else
"""

FileOption = Annotated[
    Path | None,
    options.option(
        "--out",
        help="The file. (default: RUN.safetensors)",
        panel=options.OUTPUT,
        metavar="FILE",
    ),
]


def safetensors(
    run: trained.ModelArgument = None,
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
    """Write one file: weights, settings, classes; `iddm generate` takes it like a run."""
    found = trained.find(runs_dir, run)
    path = out or Path(f"{found.name}{SUFFIX}")
    if path.suffix != SUFFIX:
        raise UsageError(f"--out {path}: its name must end in {SUFFIX}", f"Name it {path}{SUFFIX}.")
    writing.check_file(path, overwrite=overwrite)
    given = trained.given_sampling(sampler, steps, guidance, weights)
    model = writing.load(found, given, checkpoint)

    from iddm_cli.export.safetensors import content

    writing.write_file(path, content(model))
    writing.tell(model, "safetensors", path, f"draw with: iddm generate {path}", as_json=json)
