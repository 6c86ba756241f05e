"""`iddm average`: make averages of the weights whose length is chosen after training."""

from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.workflows.evaluating.request import DEFAULT_COUNT, MAX_COUNT

EXAMPLES = """\
[bold]Examples[/bold]

  iddm average                                   averages of several lengths

  iddm average first --length 0.05,0.1,0.2       of these lengths

  iddm generate first --weights average-0.1      generate with one of them

  iddm average first --choose                    evaluate them, and keep the best
"""

LengthOption = Annotated[
    str | None,
    options.option(
        "--length",
        help="Lengths as fractions of the training, separated by commas. (default: 0.03 to 0.2, "
        "as far as the run's snapshots allow)",
        panel=options.SELECTION,
        metavar="LENGTH,...",
    ),
]
StepOption = Annotated[
    int | None,
    options.option(
        "--step",
        help="Step at which the averages end. (default: that of the latest checkpoint)",
        panel=options.SELECTION,
        at_least=1,
    ),
]
ChooseOption = Annotated[
    bool,
    options.option(
        "--choose",
        help="Evaluate them, and let the run sample from the best by default.",
        panel=options.SELECTION,
    ),
]
CountOption = Annotated[
    int | None,
    options.option(
        help=f"Number of images to generate for --choose. (default: {DEFAULT_COUNT})",
        panel=options.SELECTION,
        at_least=2,
        at_most=MAX_COUNT,
    ),
]


def average(
    run: options.RunArgument = None,
    length: LengthOption = None,
    step: StepOption = None,
    choose: ChooseOption = False,
    count: CountOption = None,
    device: options.DeviceOption = None,
    steal_lock: options.StealLockOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Make averages of the weights whose length is chosen after training."""
    from iddm_cli.errors import UsageError
    from iddm_cli.workflows.averaging.average_run import AverageRequest, average_run, parse_lengths

    if count is not None and not choose:
        raise UsageError("--count belongs to --choose", "Add --choose.")
    request = AverageRequest(
        run,
        parse_lengths(length),
        step=step,
        choose=choose,
        count=count,
        device=device,
        runs_dir=runs_dir,
        steal_lock=steal_lock,
    )
    average_run(request, as_json=json)
