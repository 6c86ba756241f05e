"""Options that several commands share, spelled once."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from iddm_cli.classes import is_number
from iddm_cli.errors import UsageError
from iddm_cli.profiles.choices import SAMPLERS, list_names

BASICS, LENGTH, OUTPUT, COMPUTING = "Basics", "Length", "Output", "Computing"


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
    """Describe an option.

    Args:
        names: Its spellings; none: the parameter's name.
        help: One sentence.
        panel: The panel of the help in which it stands.
        metavar: What stands for its value; None: its type, or N for numbers with a bound.
        at_least: Least number allowed.
        at_most: Largest number allowed.
        show_default: Whether the help says the default.
        complete: Offers values to the shell.
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
    )


def complete_run(incomplete: str) -> list[str]:
    """Offer the names of runs to the shell."""
    from iddm_cli.runs.registry import list_runs, resolve_runs_dir

    names = (run.name for run in list_runs(resolve_runs_dir(None)))
    return [name for name in names if name.startswith(incomplete)]


def complete_profile(incomplete: str) -> list[str]:
    """Offer the names of profiles to the shell."""
    from iddm_cli.profiles.loading import list_profiles

    names = (entry.name for entry in list_profiles())
    return [name for name in names if name.startswith(incomplete)]


def check_length(steps: int | None, epochs: int | None) -> None:
    """Refuse two answers to how long a training is.

    Raises:
        UsageError: Both are given.
    """
    if steps is not None and epochs is not None:
        raise UsageError("--steps and --epochs contradict each other", "Give one of them.")


def parse_devices(text: str | None) -> int | list[int] | None:
    """Read --devices: 4 is how many, 0,2 are which GPUs.

    Raises:
        UsageError: It is neither.
    """
    if text is None:
        return None
    parts = text.removesuffix(",").split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise UsageError(f"--devices {text} is no list of devices", "Write 4, or 0,2.")
    numbers = [int(part) for part in parts]
    if "," in text:
        return numbers
    if numbers == [0]:
        raise UsageError("--devices 0: no device cannot train", "For the first GPU: --devices 0,")
    return numbers[0]


RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="A run's name, or its folder; left out: the run last trained.",
        show_default=False,
        autocompletion=complete_run,
    ),
]
RunsDirOption = Annotated[
    Path | None,
    option(
        "--runs-dir",
        help="Folder that holds the runs. (default: $IDDM_RUNS_DIR, else ./runs)",
        panel=OUTPUT,
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
EpochsOption = Annotated[
    int | None, option(help="Passes over the dataset.", panel=LENGTH, at_least=1)
]
StepsOption = Annotated[
    int | None, option(help="Updates, in place of epochs.", panel=LENGTH, at_least=1)
]
DeviceOption = Annotated[
    str | None, option(help="auto, cpu, cuda, cuda:1 or mps.", panel=COMPUTING, metavar="DEVICE")
]
DevicesOption = Annotated[
    str | None,
    option(
        help="How many train together, or which GPUs: 4, or 0,2. (default: all GPUs)",
        panel=COMPUTING,
        metavar="N|N,N",
    ),
]
MaxTimeOption = Annotated[
    str | None,
    option(
        "--max-time",
        help="Save and stop by itself after this time: 8h, 90m, 1d12h.",
        panel=LENGTH,
        metavar="TIME",
    ),
]
StealLockOption = Annotated[
    bool,
    option(
        "--steal-lock",
        help="Take the run from a process on another machine that is gone.",
        panel=OUTPUT,
    ),
]
OverwriteOption = Annotated[
    bool, option("--overwrite", help="Replace what stands under that name.", panel=OUTPUT)
]
JsonOption = Annotated[
    bool, option("--json", help="Print one JSON document instead of text.", panel=OUTPUT)
]


def parse_size(text: str) -> int | list[int]:
    """Read an image size: N, or HxW.

    Raises:
        UsageError: It is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"--image-size {text} is no size", "Write 64, or 64x96 (height x width).")
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else numbers


ImageSizeOption = Annotated[
    str | None,
    option(
        help="Size trained at, in pixels: 64, or 64x96 (height x width).",
        panel=BASICS,
        metavar="N|HxW",
    ),
]


HOW = "How"


ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="A run's name or folder, or an exported FILE.safetensors; left out: the run last "
        "trained.",
        show_default=False,
        autocompletion=complete_run,
    ),
]


SamplerOption = Annotated[
    str | None,
    option(help=f"{list_names(SAMPLERS)}. (default: the profile's)", panel=HOW, metavar="NAME"),
]


GuidanceOption = Annotated[
    float | None,
    option(help="How hard the class is followed; 1 is plain.", panel=HOW, at_least=0),
]


CheckpointOption = Annotated[
    str,
    option(help="Which checkpoint.", panel=HOW, metavar="STEP|last", show_default=True),
]


WeightsOption = Annotated[
    str | None,
    option(
        help="Averaged weights, or as the optimizer left them.",
        panel=HOW,
        metavar="average|raw",
    ),
]


def parse_checkpoint(text: str) -> int | None:
    """Read --checkpoint: a step, or None for the last one.

    Raises:
        UsageError: It is neither.
    """
    if text == "last":
        return None
    digits = text.removeprefix("step-")
    if not is_number(digits):
        raise UsageError(f"--checkpoint {text} is no step", "Write a number such as 500, or last.")
    return int(digits)


def given_sampling(
    sampler: str | None, steps: int | None, guidance: float | None, weights: str | None
) -> dict[str, object]:
    """Return the options that say how pictures are drawn, by what they override."""
    return {
        "--sampler sampling.sampler": sampler,
        "--steps sampling.steps": steps,
        "--guidance sampling.guidance": guidance,
        "--weights sampling.weights": weights,
    }


SolverStepsOption = Annotated[int | None, option(help="Solver steps.", panel=HOW, at_least=1)]
