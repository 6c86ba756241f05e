"""`iddm export onnx`: from noise to pixels in one file, for onnxruntime."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

from iddm_cli.commands import options
from iddm_cli.errors import UsageError
from iddm_cli.workflows import exporting, models

EXAMPLES = """\
[bold]Examples[/bold]

  iddm export onnx                               the run last trained

  iddm export onnx first --sampler dpmpp-2m --steps 20 --guidance 2 --out steel.onnx

  iddm export onnx first --precision int8        a quarter of the size, almost the same pictures
"""
NEEDED = ("onnx", "onnxruntime", "onnxscript")
WHAT = "What"

PartOption = Annotated[
    Literal["pipeline", "denoiser"],
    options.option(
        "--part",
        help="All the way from noise to pixels, or the network's estimate of the clean image.",
        panel=WHAT,
        show_default=True,
    ),
]
PrecisionOption = Annotated[
    Literal["fp32", "fp16", "int8"],
    options.option(
        "--precision",
        help="Numbers in the file; what it costs is measured and told.",
        panel=WHAT,
        show_default=True,
    ),
]
OpsetOption = Annotated[
    int,
    options.option(
        "--opset",
        help="Version of ONNX's operators.",
        panel=WHAT,
        at_least=18,
        at_most=23,
        show_default=True,
    ),
]
FileOption = Annotated[
    Path | None,
    options.option(
        "--out", help="The file. (default: RUN.onnx)", panel=options.OUTPUT, metavar="FILE"
    ),
]


def onnx(
    run: options.ModelArgument = None,
    part: PartOption = "pipeline",
    precision: PrecisionOption = "fp32",
    opset: OpsetOption = 20,
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
    """Write one ONNX file that needs nothing but onnxruntime, and check what it draws."""
    check_installed()
    found = models.find_model(runs_dir, run)
    path = out or Path(f"{found.name}.onnx" if part == "pipeline" else f"{found.name}-{part}.onnx")
    exporting.check_file(path, overwrite=overwrite)
    given = options.collect_sampling_options(sampler, steps, guidance, weights)
    model = exporting.load(found, given, options.parse_checkpoint(checkpoint))

    from iddm_cli.display import progress
    from iddm_cli.export.onnx.check import check_onnx_model
    from iddm_cli.export.onnx.model_proto import OnnxOptions, build_onnx_model

    form = OnnxOptions(part, precision, opset)
    with progress.show_spinner("exporting"):
        made = build_onnx_model(model, form)
    with progress.show_spinner("drawing with onnxruntime and with PyTorch, to compare"):
        agreement = check_onnx_model(model, made, form)
    exporting.write_file(path, made.SerializeToString())
    exporting.tell(
        model, "onnx", path, str(agreement), as_json=json, part=part, precision=precision,
        opset=opset, within_one=agreement.within_one, mean_difference=agreement.mean,
        largest_difference=agreement.most,
    )  # fmt: skip


def check_installed() -> None:
    """Refuse where ONNX is not there.

    Raises:
        UsageError: It says what to install.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"export to ONNX needs {', '.join(missing)}", "Install it: pip install 'iddm-cli[onnx]'"
        )
