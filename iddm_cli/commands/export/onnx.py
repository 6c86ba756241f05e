"""`iddm export onnx`: from noise to pixels in one file, for onnxruntime."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.commands.export.shared import out_option, run_export
from iddm_cli.commands.options import guidance_options
from iddm_cli.export.formats import EXPORT_FORMATS
from iddm_cli.export.onnx.options import OPSETS, OnnxOptions, Part, Precision
from iddm_cli.workflows.exporting import ExportRequest

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export onnx                               the latest run

  iddm export onnx first --sampler dpmpp-2m --steps 20 --guidance 2 --out steel.onnx

  iddm export onnx first --precision int8        a quarter of the size, almost the same images
"""

SELECTION = "Selection"

OutOption = Annotated[Path | None, out_option("onnx")]
PartOption = Annotated[
    Part,
    options.option(
        "--part",
        help="The whole pipeline from noise to pixels, the denoiser, or a latent model's decoder.",
        panel=SELECTION,
        show_default=True,
    ),
]
PrecisionOption = Annotated[
    Precision,
    options.option(
        "--precision",
        help="Precision of the weights; iddm reports how much the images change.",
        panel=SELECTION,
        show_default=True,
    ),
]
OpsetOption = Annotated[
    int,
    options.option(
        "--opset",
        help="Version of the ONNX operators.",
        panel=SELECTION,
        at_least=OPSETS[0],
        at_most=OPSETS[-1],
        show_default=True,
    ),
]
DEFAULTS = OnnxOptions()


def onnx(
    run: options.ModelArgument = None,
    part: PartOption = DEFAULTS.part,
    precision: PrecisionOption = DEFAULTS.precision,
    opset: OpsetOption = DEFAULTS.opset,
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
    """Run `iddm export onnx`; its help text is in EXPORT_FORMATS."""
    run_export(
        run,
        runs_dir,
        ExportRequest(
            EXPORT_FORMATS["onnx"],
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
            variant="" if part == "pipeline" else part,
            options={"part": part, "precision": precision, "opset": opset},
        ),
        json=json,
    )
