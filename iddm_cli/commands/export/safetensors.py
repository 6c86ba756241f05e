"""`iddm export safetensors`: one file with the weights and all that using them needs."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.errors import UsageError
from iddm_cli.runs.exported_file import SUFFIX
from iddm_cli.workflows import exporting, models

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
    run: options.ModelArgument = None,
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
    """Write one file: weights, settings, classes; `iddm generate` takes it like a run."""
    found = models.find_model(runs_dir, run)
    path = out or Path(f"{found.name}{SUFFIX}")
    if path.suffix != SUFFIX:
        raise UsageError(f"--out {path}: its name must end in {SUFFIX}", f"Name it {path}{SUFFIX}.")
    exporting.check_file(path, overwrite=overwrite)
    given = options.collect_sampling_options(sampler, steps, guidance, weights)
    model = exporting.load(found, given, options.parse_checkpoint(checkpoint))

    from iddm_cli.export.safetensors import build_safetensors

    exporting.write_file(path, build_safetensors(model))
    exporting.tell(model, "safetensors", path, f"draw with: iddm generate {path}", as_json=json)
