"""`iddm export pt2`: the denoiser by torch.export or AOTInductor."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.commands.export.shared import out_option, run_export
from iddm_cli.commands.options import guidance_options
from iddm_cli.export.formats import EXPORT_FORMATS
from iddm_cli.workflows.exporting import ExportRequest

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export pt2 first

  iddm export pt2 first --aot                    compiled for this machine's processor
"""

OutOption = Annotated[Path | None, out_option("pt2")]
AotOption = Annotated[
    bool,
    options.option(
        "--aot",
        help="Compile with AOTInductor for this kind of processor; takes minutes.",
        panel=options.COMPUTING,
    ),
]


def pt2(
    run: options.ModelArgument = None,
    aot: AotOption = False,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    time_grid: options.TimeGridOption = None,
    order: options.OrderOption = None,
    guidance: guidance_options.GuidanceOption = None,
    guidance_interval: guidance_options.GuidanceIntervalOption = None,
    guidance_rescale: guidance_options.GuidanceRescaleOption = None,
    threshold: guidance_options.ThresholdOption = None,
    guide_with: guidance_options.GuideWithOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    out: OutOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Run `iddm export pt2`; its help text is in EXPORT_FORMATS."""
    run_export(
        run,
        runs_dir,
        ExportRequest(
            EXPORT_FORMATS["pt2"],
            {
                **options.collect_sampling_options(sampler, steps, time_grid, order, weights),
                **guidance_options.collect_guidance_options(
                    guidance, guidance_interval, guidance_rescale, threshold
                ),
            },
            checkpoint=options.parse_checkpoint(checkpoint),
            guide_with=guide_with,
            runs_dir=runs_dir,
            out=out,
            overwrite=overwrite,
            options={"aot": aot},
        ),
        json=json,
    )
