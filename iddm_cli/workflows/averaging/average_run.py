"""Make averages of a chosen length from the EMAs that a run has stored, and keep them in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import CheckpointError, RunError, UsageError
from iddm_cli.workflows import models
from iddm_cli.workflows.averaging.stored_averages import StoredAverage, list_stored_averages

if TYPE_CHECKING:
    from iddm_cli.engine.averaging.synthesis import Synthesis

USUAL_LENGTHS = (0.03, 0.05, 0.1, 0.15, 0.2)
"""The lengths of `iddm average` without --length; those that a run cannot express are left out."""

LEAST_SIMILARITY = 0.97
"""Cosine similarity of the weight profiles from which an average counts as one of its length."""

PROBED = [number / 200 for number in range(1, 57)]
"""Lengths that are tried to say which ones a run can express."""

MOST_LISTED = 20
MORE_HINT = (
    "A run that is trained with a larger training.average_snapshots, or with training.keep_every, "
    "keeps more of them."
)


@dataclass(frozen=True)
class AverageRequest:
    """What to average.

    Attributes:
        run: The run; None: the run last trained.
        lengths: The lengths; none: USUAL_LENGTHS, as far as they can be expressed.
        step: The step at which the averages end; None: that of the latest checkpoint.
        choose: Whether to evaluate them, and to keep the best as the run's default.
        count: Number of images to generate for that; None: the usual number.
        device: The device to generate on; None: the profile's.
        runs_dir: The folder of runs; None: the default.
        steal_lock: Whether the run is taken over from a process on another machine.
    """

    run: str | None
    lengths: Sequence[float] = ()
    step: int | None = None
    choose: bool = False
    count: int | None = None
    device: str | None = None
    runs_dir: Path | None = None
    steal_lock: bool = False


def parse_lengths(text: str | None) -> list[float]:
    """Parse --length: numbers between commas, each once, in rising order.

    Raises:
        UsageError: One is not a length.
    """
    from iddm_cli.engine.averaging.power_function import LONGEST, SHORTEST

    if text is None:
        return []
    try:
        lengths = sorted({float(part) for part in text.removesuffix(",").split(",")})
    except ValueError:
        raise UsageError(
            f"--length {text} is not a list of numbers", "Write 0.1, or 0.05,0.1,0.2."
        ) from None
    for length in lengths:
        if not SHORTEST <= length <= LONGEST or round(length, 4) != length:
            raise UsageError(
                f"--length {length:g} is not a length: a fraction of the training, from "
                f"{SHORTEST} to {LONGEST}, with four decimals at most",
                "The usual ones are 0.05 to 0.2.",
            )
    if len(lengths) > MOST_LISTED:
        raise UsageError(f"--length: these are {len(lengths)}", f"Give up to {MOST_LISTED}.")
    return lengths


def average_run(request: AverageRequest, *, as_json: bool) -> None:
    """Make averages, write them into the run, and print them.

    Raises:
        IddmError: The run has stored too little for a length, is being trained, or cannot be
            written to.
    """
    from iddm_cli.workflows.averaging.average_report import report_averages
    from iddm_cli.workflows.averaging.choosing import choose_average
    from iddm_cli.workflows.averaging.combining import write_average
    from iddm_cli.workflows.evaluating.request import EvaluationRequest

    model = models.find_run_model(
        request.runs_dir,
        request.run,
        ", which holds one set of weights",
        "Average its run, and export that: iddm average",
    )
    with model.run.lock.hold(steal=request.steal_lock):
        stored = select_stored(model, request.step)
        made = [
            write_average(model, stored, synthesis)
            for synthesis in plan_averages(model.name, stored, request.lengths)
        ]
        chosen = None
        if request.choose:
            evaluation = EvaluationRequest(
                count=request.count, device=request.device, runs_dir=request.runs_dir
            )
            chosen = choose_average(model, made, evaluation, as_json=as_json)
    report_averages(model, made, chosen, as_json=as_json)


def select_stored(model: models.RunModel, step: int | None) -> list[StoredAverage]:
    """Return the EMAs that a run has stored up to a step, oldest first; the last is of that step.

    Raises:
        CheckpointError: It has none of that step.
    """
    stored = list_stored_averages(model.run, model.load_profile([]).training.ema_decay)
    if step is None:
        steps = [each.step for each in stored if each.origin == "checkpoint"]
        if not steps:
            raise CheckpointError(f"{model.run.checkpoints_dir} has no checkpoint")
        step = steps[-1]
    upto = [each for each in stored if each.step <= step]
    if not upto or upto[-1].step != step:
        known = ", ".join(str(each.step) for each in stored) or "none"
        raise CheckpointError(
            f"run {model.name} has stored no EMA of step {step}", f"Available steps: {known}."
        )
    return upto


def plan_averages(
    name: str, stored: Sequence[StoredAverage], lengths: Sequence[float]
) -> "list[Synthesis]":
    """Return how each average is made.

    Args:
        name: The run's name.
        stored: What it has stored, see `select_stored`.
        lengths: The lengths; none: USUAL_LENGTHS, as far as they can be expressed.

    Raises:
        RunError: The stored EMAs cannot express a length; the hint says which they can.
    """
    from iddm_cli.display import console
    from iddm_cli.engine.averaging.synthesis import StoredEMA, synthesize

    emas = [StoredEMA(each.step, each.ema_decay) for each in stored]
    plans = [synthesize(length, emas) for length in lengths or USUAL_LENGTHS]
    poor = [plan for plan in plans if plan.similarity < LEAST_SIMILARITY]
    if not poor:
        return plans
    good = [plan for plan in plans if plan.similarity >= LEAST_SIMILARITY]
    range_hint = describe_range([synthesize(length, emas) for length in PROBED])
    named = ", ".join(f"{plan.length:g} (similarity {plan.similarity:.3f})" for plan in poor)
    problem = (
        f"what run {name} has stored up to step {emas[-1].step} ({len(emas)} EMAs) cannot express "
        f"length {named}"
    )
    if lengths or not good:
        raise RunError(problem, f"{range_hint} {MORE_HINT}")
    console.print_note(f"{problem}. {range_hint}")
    return good


def describe_range(probed: "Sequence[Synthesis]") -> str:
    """Return a sentence with the lengths that can be expressed."""
    good = [plan.length for plan in probed if plan.similarity >= LEAST_SIMILARITY]
    if not good:
        return f"No length has a similarity of {LEAST_SIMILARITY}."
    return f"It can express {good[0]:g} to {good[-1]:g}."
