"""`iddm generate`: draw pictures with a trained run."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from iddm_cli.commands import options
from iddm_cli.errors import RunError, UsageError, did_you_mean

if TYPE_CHECKING:
    from iddm_cli.engine.checkpoint import Checkpoint
    from iddm_cli.runs import Run
    from iddm_cli.settings import Profile

EXAMPLES = """\
[bold]Examples[/bold]

  iddm generate --class scratches --count 16     draw from the run last trained

  iddm generate first --class 3 --sampler ddim --steps 50 --guidance 2

  iddm generate first --class all --count 1000 --out new-pictures --no-grid
"""
WHAT, HOW = "What", "How"


ClassOption = Annotated[
    list[str] | None,
    options.option(
        "--class",
        help="Which class; may be repeated. (default: all)",
        panel=WHAT,
        metavar="NAME|INDEX|all",
    ),
]
CountOption = Annotated[
    int, options.option(help="Pictures of each class.", panel=WHAT, at_least=1, show_default=True)
]
SeedOption = Annotated[
    int,
    options.option(
        help="Decides the noise they start from.",
        panel=WHAT,
        at_least=0,
        at_most=2**63 - 1,
        show_default=True,
    ),
]
SamplerOption = Annotated[
    str | None,
    options.option(
        help="ddim, ddpm or dpmpp-2m. (default: the profile's)", panel=HOW, metavar="NAME"
    ),
]
StepsOption = Annotated[int | None, options.option(help="Solver steps.", panel=HOW, at_least=1)]
GuidanceOption = Annotated[
    float | None,
    options.option(help="How hard the class is followed; 1 is plain.", panel=HOW, at_least=0),
]
CheckpointOption = Annotated[
    str,
    options.option(help="Which checkpoint.", panel=HOW, metavar="STEP|last", show_default=True),
]
WeightsOption = Annotated[
    str | None,
    options.option(
        help="Averaged weights, or as the optimizer left them.",
        panel=HOW,
        metavar="average|raw",
    ),
]
BatchSizeOption = Annotated[
    int | None,
    options.option(
        help="Pictures drawn at once; changes no picture.", panel=options.COMPUTING, at_least=1
    ),
]
OutOption = Annotated[
    Path | None,
    options.option(
        help="Folder for the pictures. (default: a fresh one inside the run)",
        panel=options.OUTPUT,
    ),
]
FormatOption = Annotated[
    Literal["png", "jpg", "webp"],
    options.option("--format", help="File format.", panel=options.OUTPUT, show_default=True),
]
GridOption = Annotated[
    bool,
    options.option(
        "--grid/--no-grid", help="Draw grid.png.", panel=options.OUTPUT, show_default=True
    ),
]


def generate(
    run: options.RunArgument = None,
    class_: ClassOption = None,
    count: CountOption = 16,
    seed: SeedOption = 0,
    sampler: SamplerOption = None,
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    checkpoint: CheckpointOption = "last",
    weights: WeightsOption = None,
    batch_size: BatchSizeOption = None,
    device: options.DeviceOption = None,
    out: OutOption = None,
    form: FormatOption = "png",
    grid: GridOption = True,
    overwrite: options.OverwriteOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Draw new pictures with a trained run."""
    from iddm_cli.commands import gallery
    from iddm_cli.runs import open_run, runs_folder

    opened = open_run(runs_folder(runs_dir), run)
    given = {
        **given_sampling(sampler, steps, guidance, weights),
        "--batch-size sampling.batch_size": batch_size,
        "--device runtime.device": device,
    }
    profile = load_sampling(opened, given)
    classes = class_names(opened)
    wanted = choose_classes(class_ or ["all"], classes)
    step = parse_checkpoint(checkpoint)
    folder = out or opened.path / "generated" / f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    plan = gallery.Plan(folder, classes, wanted, count, form, grid=grid)
    plan.check_count()
    plan.check_free(overwrite=overwrite)
    gallery.fill(plan, opened, profile, choose_checkpoint(opened, step), seed=seed, as_json=json)


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


def load_sampling(run: "Run", given: dict[str, object]) -> "Profile":
    """Return the run's profile with the options that were given.

    A number of steps belongs to its sampler: another sampler alone takes its own usual number.
    """
    from iddm_cli.commands.train import as_overrides
    from iddm_cli.profile import Override, load_profile

    overrides: list[Override] = as_overrides(given)
    profile = load_profile(str(run.profile), [])
    sampler = given["--sampler sampling.sampler"]
    if sampler is not None and sampler != profile.sampling.sampler:
        # Put first, so that --steps, if given, still wins.
        overrides.insert(0, Override(key="sampling.steps", value=None, origin="--sampler"))
        overrides.insert(0, Override(key="sampling.eta", value=0.0, origin="--sampler"))
    return load_profile(str(run.profile), overrides)


def class_names(run: "Run") -> tuple[str, ...]:
    """Return the classes the run knows, in the order of their indices.

    Raises:
        RunError: dataset.json is damaged.
    """
    damaged = f"{run.path / 'dataset.json'} is damaged"
    classes = run.read("dataset.json").get("classes")
    if not isinstance(classes, dict):
        raise RunError(f"{damaged}: it names no classes")
    try:
        "".join(classes).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"{damaged}: half a letter in the name of a class") from error
    return tuple(classes)


def choose_classes(asked: list[str], classes: tuple[str, ...]) -> list[int]:
    """Turn class names, indices and `all` into labels; a name goes before an index.

    Raises:
        UsageError: There is no such class.
    """
    if not classes:
        if asked != ["all"]:
            raise UsageError(
                f"--class {asked[0]}: this run was trained without classes", "Leave --class out."
            )
        return [0]
    labels: list[int] = []
    for text in asked:
        labels += [_label(text, classes)] if text != "all" else range(len(classes))
    return list(dict.fromkeys(labels))


def _label(text: str, classes: tuple[str, ...]) -> int:
    if text in classes:
        return classes.index(text)
    if _is_number(text) and int(text) < len(classes):
        return int(text)
    known = ", ".join(f"{label} {name}" for label, name in enumerate(classes[:12]))
    more = ", ..." if len(classes) > 12 else ""
    hint = f"{did_you_mean(text, classes)} There are: {known}{more}."
    raise UsageError(f"--class {text}: the run knows no such class", hint.strip())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def parse_checkpoint(text: str) -> int | None:
    """Read --checkpoint: a step, or None for the last one.

    Raises:
        UsageError: It is neither.
    """
    if text == "last":
        return None
    digits = text.removeprefix("step-")
    if not _is_number(digits):
        raise UsageError(f"--checkpoint {text} is no step", "Write a number such as 500, or last.")
    return int(digits)


def choose_checkpoint(run: "Run", step: int | None) -> "Checkpoint":
    """Return the checkpoint of a step, or the newest good one.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    from iddm_cli.display import console
    from iddm_cli.engine.checkpoint import CheckpointFolder

    folder = CheckpointFolder(run.checkpoints)
    if step is not None:
        return folder.at(step)
    newest, damaged = folder.newest()
    for error in damaged:
        console.warn(f"{error.problem}; using {newest.path.name}")
    return newest
