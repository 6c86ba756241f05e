"""`iddm export safetensors`: one file with the weights and everything needed to use them."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.commands.export.shared import out_option, run_export
from iddm_cli.commands.options import guidance_options
from iddm_cli.export.formats import EXPORT_FORMATS
from iddm_cli.workflows.exporting import ExportRequest

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export safetensors first

  iddm generate first.safetensors --class cat    on any machine
"""

OutOption = Annotated[Path | None, out_option("safetensors")]


def safetensors(
    run: options.ModelArgument = None,
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
    out: OutOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Run `iddm export safetensors`; its help text is in EXPORT_FORMATS."""
    run_export(
        run,
        runs_dir,
        ExportRequest(
            EXPORT_FORMATS["safetensors"],
            {
                **options.collect_sampling_options(sampler, steps, time_grid, order, weights),
                **guidance_options.collect_guidance_options(
                    guidance, guidance_interval, guidance_rescale, threshold
                ),
            },
            checkpoint=options.parse_checkpoint(checkpoint),
            out=out,
            overwrite=overwrite,
        ),
        json=json,
    )
