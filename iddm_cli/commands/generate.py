"""`iddm generate`: draw pictures with a trained run."""

from pathlib import Path
from typing import Annotated, Literal

from iddm_cli.classes import find_class
from iddm_cli.commands import options
from iddm_cli.errors import UsageError, did_you_mean
from iddm_cli.workflows import models

EXAMPLES = """\
[bold]Examples[/bold]

  iddm generate --class scratches --count 16     draw from the run last trained

  iddm generate first --class 3 --sampler ddim --steps 50 --guidance 2

  iddm generate first --class all --count 1000 --out new-pictures --no-grid

  iddm generate steel.safetensors                from an exported file
"""
WHAT = "What"


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
    run: options.ModelArgument = None,
    class_: ClassOption = None,
    count: CountOption = 16,
    seed: SeedOption = 0,
    sampler: options.SamplerOption = None,
    steps: options.SolverStepsOption = None,
    guidance: options.GuidanceOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
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
    from iddm_cli.workflows import generation

    model = models.find_model(runs_dir, run)
    given = {
        **options.given_sampling(sampler, steps, guidance, weights),
        "--batch-size sampling.batch_size": batch_size,
        "--device runtime.device": device,
    }
    profile = models.load_sampling_profile(model, given)
    wanted = choose_classes(class_ or ["all"], model.classes)
    step = options.parse_checkpoint(checkpoint)
    layout = generation.OutputLayout(
        out or model.default_output_dir(), model.classes, wanted, count, form, grid=grid
    )
    layout.check_count()
    layout.check_empty(overwrite=overwrite)
    source = model.open_weights(step, profile.sampling.weights)
    generation.generate_images(layout, model.name, profile, source, seed=seed, as_json=json)


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
    label = find_class(text, classes)
    if label is not None:
        return label
    known = ", ".join(f"{label} {name}" for label, name in enumerate(classes[:12]))
    more = ", ..." if len(classes) > 12 else ""
    hint = f"{did_you_mean(text, classes)} There are: {known}{more}."
    raise UsageError(f"--class {text}: the run knows no such class", hint.strip())
