"""`iddm evaluate`: measure how good generated images are."""

from pathlib import Path
from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.workflows.evaluating.request import DEFAULT_COUNT, MAX_COUNT

EXAMPLES = """\
[bold]Examples[/bold]

  iddm evaluate                                  generate, and compare with held-out images

  iddm evaluate first --out report.html          the same, as a page

  iddm evaluate first --steps 5,10,20 --sampler ddim,dpmpp-2m      compare settings

  iddm evaluate new-images --against photos      compare any two folders of images

  iddm evaluate larger --references originals    PSNR and SSIM of images of the same names

  iddm evaluate first --usefulness               do the images help a classifier?
"""
MEASURING = "Measuring"

SubjectArgument = Annotated[
    str | None,
    options.run_argument(
        "Name or folder of a run, an exported FILE.safetensors, or a folder or archive of images; "
        "by default the most recently trained run.",
        metavar="RUN|FOLDER",
    ),
]
AgainstOption = Annotated[
    str | None,
    options.option(
        help="Real images to compare with: a folder, an archive or a built-in dataset. (default: "
        "the held-out images of the run)",
        panel=options.SELECTION,
        metavar="DATASET",
    ),
]
ReferencesOption = Annotated[
    str | None,
    options.option(
        help="Folder of what each image of a folder should be, by file name: PSNR and SSIM.",
        panel=options.SELECTION,
        metavar="FOLDER",
    ),
]
CountOption = Annotated[
    int | None,
    options.option(
        help=f"Number of images in all, in the class proportions of the real ones. (default: "
        f"{DEFAULT_COUNT}, or those of the folder)",
        panel=options.SELECTION,
        at_least=2,
        at_most=MAX_COUNT,
    ),
]
ImageSizeOption = Annotated[
    str | None,
    options.option(
        help="Size at which a folder is compared: 64, or 64x96. (default: that of its images)",
        panel=options.SELECTION,
        metavar="N|HxW",
    ),
]
CheckpointsOption = Annotated[
    str,
    options.option(
        "--checkpoint",
        help="Steps of checkpoints, separated by commas.",
        panel=options.SAMPLING,
        metavar="STEP|last|best,...",
        show_default=True,
    ),
]
SamplersOption = Annotated[
    str | None,
    options.option(
        "--sampler",
        help="Samplers, separated by commas. (default: the profile's)",
        panel=options.SAMPLING,
        metavar="NAME,...",
    ),
]
SolverStepsOption = Annotated[
    str | None,
    options.option(
        "--steps",
        help="Numbers of network calls, separated by commas.",
        panel=options.SAMPLING,
        metavar="N,...",
    ),
]
OrdersOption = Annotated[
    str | None,
    options.option(
        "--order",
        help="Orders of ipndm or unipc, separated by commas.",
        panel=options.SAMPLING,
        metavar="N,...",
    ),
]
TimeGridsOption = Annotated[
    str | None,
    options.option(
        "--time-grid",
        help="Time grids, separated by commas. (default: the profile's)",
        panel=options.SAMPLING,
        metavar="NAME,...",
    ),
]
GuidancesOption = Annotated[
    str | None,
    options.option(
        "--guidance",
        help="Guidance scales, separated by commas; 1 disables guidance.",
        panel=options.SAMPLING,
        metavar="SCALE,...",
    ),
]
IntervalsOption = Annotated[
    str | None,
    options.option(
        "--guidance-interval",
        help="Noise levels with guidance, from 0 (clean) to 1 (noise); several separated by "
        "commas: 0:1,0.2:0.8.",
        panel=options.SAMPLING,
        metavar="LOW:HIGH,...",
    ),
]
RescalesOption = Annotated[
    str | None,
    options.option(
        "--guidance-rescale",
        help="Shares of rescaled guidance, from 0 to 1, separated by commas.",
        panel=options.SAMPLING,
        metavar="SHARE,...",
    ),
]
ThresholdsOption = Annotated[
    str | None,
    options.option(
        "--threshold",
        help="Shares of dynamic thresholding, separated by commas; 0 clips instead.",
        panel=options.SAMPLING,
        metavar="SHARE,...",
    ),
]
GuidesOption = Annotated[
    str | None,
    options.option(
        "--guide-with",
        help="Weaker models that guide, separated by commas; none is classifier-free guidance.",
        panel=options.SAMPLING,
        metavar="RUN@STEP|none,...",
    ),
]
PrecisionsOption = Annotated[
    str | None,
    options.option(
        "--precision",
        help="Precisions of the network, separated by commas.",
        panel=options.COMPUTING,
        metavar="auto|fp32|bf16|fp16,...",
    ),
]
WeightsListOption = Annotated[
    str | None,
    options.option(
        "--weights",
        help="Weights, separated by commas: the EMA (average), those the optimizer updates (raw), "
        "and averages that iddm average made, such as average-0.1.",
        panel=options.SAMPLING,
        metavar="average|raw|average-LENGTH,...",
    ),
]
CopiesOption = Annotated[
    bool,
    options.option(
        "--copies/--no-copies",
        help="Look for copies of training images.",
        panel=MEASURING,
        show_default=True,
    ),
]
UsefulnessOption = Annotated[
    bool,
    options.option(
        "--usefulness",
        help="Train classifiers with and without the images, and compare them; takes minutes.",
        panel=MEASURING,
    ),
]
FilterOption = Annotated[
    bool,
    options.option(
        "--filter",
        help="Leave copies, and images of another class, out of --usefulness.",
        panel=MEASURING,
    ),
]
RealPerClassOption = Annotated[
    int | None,
    options.option(
        "--real-per-class",
        help="Real images of each class for --usefulness. (default: all)",
        panel=MEASURING,
        at_least=1,
    ),
]
CanonicalOption = Annotated[
    bool,
    options.option(
        "--canonical",
        help="Also measure FID and KID in the features of Inception, by torch-fidelity.",
        panel=MEASURING,
    ),
]
InceptionWeightsOption = Annotated[
    Path | None,
    options.option(
        "--inception-weights",
        help="File of the weights of Inception. (default: downloaded)",
        panel=MEASURING,
        metavar="FILE",
    ),
]
OutOption = Annotated[
    Path | None,
    options.option(
        help="HTML file for the report, one self-contained page.",
        panel=options.OUTPUT,
        metavar="FILE.html",
    ),
]


def evaluate(
    subject: SubjectArgument = None,
    against: AgainstOption = None,
    references: ReferencesOption = None,
    count: CountOption = None,
    seed: options.SeedOption = 0,
    same_noise: options.SameNoiseOption = False,
    image_size: ImageSizeOption = None,
    checkpoint: CheckpointsOption = "last",
    sampler: SamplersOption = None,
    steps: SolverStepsOption = None,
    time_grid: TimeGridsOption = None,
    order: OrdersOption = None,
    guidance: GuidancesOption = None,
    guidance_interval: IntervalsOption = None,
    guidance_rescale: RescalesOption = None,
    threshold: ThresholdsOption = None,
    guide_with: GuidesOption = None,
    weights: WeightsListOption = None,
    copies: CopiesOption = True,
    usefulness: UsefulnessOption = False,
    filtered: FilterOption = False,
    real_per_class: RealPerClassOption = None,
    canonical: CanonicalOption = False,
    inception_weights: InceptionWeightsOption = None,
    device: options.DeviceOption = None,
    batch_size: options.BatchSizeOption = None,
    precision: PrecisionsOption = None,
    out: OutOption = None,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Measure how good generated images are."""
    from iddm_cli.workflows.evaluating.reporting import report_evaluation
    from iddm_cli.workflows.evaluating.request import EvaluationRequest, build_grid

    size = None if image_size is None else options.parse_size(image_size)
    request = EvaluationRequest(
        subject=subject,
        against=against,
        references=references,
        grid=build_grid(
            checkpoints=[options.parse_checkpoint(part.strip()) for part in checkpoint.split(",")],
            sampler=sampler,
            steps=steps,
            time_grid=time_grid,
            order=order,
            guidance=guidance,
            guidance_interval=guidance_interval,
            guidance_rescale=guidance_rescale,
            threshold=threshold,
            guide_with=guide_with,
            weights=weights,
            precision=precision,
        ),
        count=count,
        seed=seed,
        same_noise=same_noise,
        image_size=size,
        copies=copies,
        usefulness=usefulness,
        filtered=filtered,
        real_per_class=real_per_class,
        canonical=canonical,
        inception_weights=inception_weights,
        device=device,
        batch_size=batch_size,
        runs_dir=runs_dir,
    )
    report_evaluation(request, out=out, overwrite=overwrite, as_json=json)
