"""Options that several commands share, each defined once."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from iddm_cli.classes import is_index
from iddm_cli.errors import UsageError
from iddm_cli.profiles.choices import GRIDS, SAMPLERS, list_names

BASICS, LENGTH, OUTPUT, COMPUTING = "Basics", "Length", "Output", "Computing"
SELECTION, SAMPLING = "Selection", "Sampling"


def option(
    *names: str,
    help: str,
    panel: str,
    metavar: str | None = None,
    at_least: int | None = None,
    at_most: int | None = None,
    show_default: bool = False,
    complete: Callable[[str], list[str]] | None = None,
) -> Any:
    """Define an option.

    Args:
        names: Spellings of the option; by default the name of the parameter.
        help: One sentence.
        panel: Panel of the help in which the option is listed.
        metavar: Placeholder of the value; by default its type, or N for a bounded number.
        at_least: Minimum of the value.
        at_most: Maximum of the value.
        show_default: Whether the help lists the default.
        complete: Function that completes values in the shell.
    """
    return typer.Option(
        *names,
        help=help,
        rich_help_panel=panel,
        metavar=metavar or ("N" if at_least is not None else None),
        min=at_least,
        max=at_most,
        show_default=show_default,
        autocompletion=complete,
        readable=False,  # a path is tried; network file systems may deny access wrongly
    )


def run_argument(help: str, *, metavar: str = "RUN") -> Any:
    """Define an argument that names runs.

    Args:
        help: One sentence.
        metavar: Placeholder of the value.
    """
    return typer.Argument(
        metavar=metavar, help=help, show_default=False, autocompletion=complete_run
    )


def complete_run(incomplete: str) -> list[str]:
    """Complete the name of a run in the shell."""
    from iddm_cli.runs.registry import list_runs, resolve_runs_dir

    names = (run.name for run in list_runs(resolve_runs_dir(None)))
    return [name for name in names if name.startswith(incomplete)]


def complete_profile(incomplete: str) -> list[str]:
    """Complete the name of a profile in the shell."""
    from iddm_cli.profiles.loading import list_profiles

    names = (entry.name for entry in list_profiles())
    return [name for name in names if name.startswith(incomplete)]


def check_length(steps: int | None, epochs: int | None) -> None:
    """Check that the length of a training is given at most once.

    Raises:
        UsageError: Both --steps and --epochs are given.
    """
    if steps is not None and epochs is not None:
        raise UsageError("--steps and --epochs contradict each other", "Give one of them.")


def parse_devices(text: str | None) -> int | list[int] | None:
    """Parse --devices: a number of devices such as 4, or GPU indices such as 0,2.

    Raises:
        UsageError: The text is neither.
    """
    if text is None:
        return None
    parts = text.removesuffix(",").split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise UsageError(f"--devices {text} is not a list of devices", "Write 4, or 0,2.")
    numbers = [int(part) for part in parts]
    if "," in text:
        return numbers
    if numbers == [0]:
        raise UsageError(
            "--devices 0: at least one device is needed", "For the first GPU: --devices 0,"
        )
    return numbers[0]


def parse_size(text: str, option: str = "--image-size") -> int | list[int]:
    """Parse an image size: N, or HxW.

    Raises:
        UsageError: The text is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(
            f"{option} {text} is not a valid size", "Write 64, or 64x96 (height x width)."
        )
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else numbers


def parse_sides(text: str, option: str) -> tuple[int, int]:
    """Parse an image size: height and width.

    Raises:
        UsageError: The text is not a size.
    """
    size = parse_size(text, option)
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def parse_checkpoint(text: str) -> int | Literal["best"] | None:
    """Parse --checkpoint: a step, best, or None for the last one.

    Raises:
        UsageError: The text is none of them.
    """
    if text == "last":
        return None
    if text == "best":
        return "best"
    digits = text.removeprefix("step-")
    if not is_index(digits):
        raise UsageError(
            f"--checkpoint {text or repr(text)} is not a step",
            "Write a number such as 500, or last, or best.",
        )
    return int(digits)


def collect_sampling_options(
    sampler: str | None,
    steps: int | None,
    time_grid: str | None,
    order: int | None,
    weights: str | None,
) -> dict[str, object]:
    """Return the options of sampling by their spelling and key, see `collect_overrides`."""
    return {
        "--sampler sampling.sampler": sampler,
        "--steps sampling.steps": steps,
        "--time-grid sampling.grid": time_grid,
        "--order sampling.order": order,
        "--weights sampling.weights": weights,
    }


RunArgument = Annotated[
    str | None,
    run_argument("Name or folder of a run; by default the most recently trained one."),
]
ModelArgument = Annotated[
    str | None,
    run_argument(
        "Name or folder of a run, or an exported FILE.safetensors; by default the most recently "
        "trained run."
    ),
]

SetOption = Annotated[
    list[str] | None,
    option(
        "--set",
        help="Change any setting, such as training.lr=1e-4; may be repeated.",
        panel=BASICS,
        metavar="KEY=VALUE",
    ),
]
ImageSizeOption = Annotated[
    str | None,
    option(
        help="Image size in pixels: 64, or 64x96 (height x width).",
        panel=BASICS,
        metavar="N|HxW",
    ),
]

EpochsOption = Annotated[
    int | None, option(help="Number of passes over the dataset.", panel=LENGTH, at_least=1)
]
StepsOption = Annotated[
    int | None,
    option(help="Number of optimizer updates, instead of --epochs.", panel=LENGTH, at_least=1),
]
MaxTimeOption = Annotated[
    str | None,
    option(
        "--max-time",
        help="Save and stop after this time: 8h, 90m, 1d12h.",
        panel=LENGTH,
        metavar="TIME",
    ),
]

SamplerOption = Annotated[
    str | None,
    option(
        help=f"Sampler: {list_names(SAMPLERS)}. (default: the profile's)",
        panel=SAMPLING,
        metavar="NAME",
    ),
]
SolverStepsOption = Annotated[
    int | None,
    option(
        help="Number of network calls; heun and dpm2 take two a step.",
        panel=SAMPLING,
        at_least=1,
    ),
]
TimeGridOption = Annotated[
    str | None,
    option(
        "--time-grid",
        help=f"Times of the steps: {list_names(GRIDS)}. (default: the profile's)",
        panel=SAMPLING,
        metavar="NAME",
    ),
]
OrderOption = Annotated[
    int | None,
    option(
        help="Order of ipndm (1 to 4) or unipc (2 or 3).", panel=SAMPLING, at_least=1, at_most=4
    ),
]
PrecisionOption = Annotated[
    str | None,
    option(
        "--precision",
        help="Precision of the network; auto uses bf16 where that is fast and changes images "
        "little.",
        panel=COMPUTING,
        metavar="auto|fp32|bf16|fp16",
    ),
]
CheckpointOption = Annotated[
    str,
    option(
        help="Step of the checkpoint to load; best is the one of training.keep_best.",
        panel=SAMPLING,
        metavar="STEP|last|best",
        show_default=True,
    ),
]
WeightsOption = Annotated[
    str | None,
    option(
        help="Weights to use: the EMA (average), those the optimizer updates (raw), or the EMA of "
        "another length that iddm average made, such as average-0.1.",
        panel=SAMPLING,
        metavar="average|raw|average-LENGTH",
    ),
]

SeedOption = Annotated[
    int,
    option(
        help="Random seed of the images.",
        panel=SELECTION,
        at_least=0,
        at_most=2**63 - 1,
        show_default=True,
    ),
]
SameNoiseOption = Annotated[
    bool,
    option(
        "--same-noise",
        help="Start image i from the same noise in every class, to compare classes.",
        panel=SELECTION,
    ),
]
BatchSizeOption = Annotated[
    int | None,
    option(
        help="Images generated at once; does not change the images.",
        panel=COMPUTING,
        at_least=1,
    ),
]
DeviceOption = Annotated[
    str | None,
    option(help="Device: auto, cpu, cuda, cuda:1 or mps.", panel=COMPUTING, metavar="DEVICE"),
]
FormatOption = Annotated[
    Literal["png", "jpg", "webp", "tiff", "npy"] | None,
    option(
        "--format",
        help="File format of the images. (default: png, or tiff or npy where a PNG cannot hold "
        "their values)",
        panel=OUTPUT,
    ),
]
DevicesOption = Annotated[
    str | None,
    option(
        help="Number of devices to train on, or GPU indices: 4, or 0,2. (default: all GPUs)",
        panel=COMPUTING,
        metavar="N|N,N",
    ),
]

RunsDirOption = Annotated[
    Path | None,
    option(
        "--runs-dir",
        help="Folder of all runs. (default: $IDDM_RUNS_DIR, else ./runs)",
        panel=OUTPUT,
    ),
]
StealLockOption = Annotated[
    bool,
    option(
        "--steal-lock",
        help="Take over a run that a process on another machine left locked.",
        panel=OUTPUT,
    ),
]
OverwriteOption = Annotated[
    bool, option("--overwrite", help="Replace an existing output of the same name.", panel=OUTPUT)
]
JsonOption = Annotated[
    bool, option("--json", help="Print one JSON document instead of text.", panel=OUTPUT)
]
