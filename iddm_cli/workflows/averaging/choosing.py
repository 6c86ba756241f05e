"""Choose the length of the average by an evaluation, and keep it as the run's default."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from iddm_cli.errors import RunError
from iddm_cli.workflows import models

if TYPE_CHECKING:
    from iddm_cli.checkpoints.averages import SynthesizedAverage
    from iddm_cli.evaluation.results import Evaluation
    from iddm_cli.workflows.evaluating.request import EvaluationRequest

METRIC = "mind"
SETTING = "sampling.weights"


def choose_average(
    model: models.RunModel,
    made: "Sequence[SynthesizedAverage]",
    evaluation: "EvaluationRequest",
    *,
    as_json: bool,
) -> str:
    """Evaluate the EMA and the averages made, and keep the best as the run's `sampling.weights`.

    Args:
        model: The run.
        made: Its averages, of one step.
        evaluation: How many images are generated, and where.
        as_json: Whether the table of numbers is left out, for the document that follows.

    Returns:
        The name of the best.

    Raises:
        IddmError: The run cannot be evaluated, or written to.
        KeyboardInterrupt: Ctrl-C; the run's default is unchanged.
    """
    from iddm_cli.display.evaluation import print_evaluations
    from iddm_cli.workflows.evaluating.request import SamplingGrid
    from iddm_cli.workflows.evaluating.subjects import evaluate

    names = ("average", *(each.record.name for each in made))
    grid = SamplingGrid(checkpoints=(made[0].step,), weights=names)
    series = evaluate(model, replace(evaluation, grid=grid, copies=False))
    if not as_json:
        print_evaluations(series)
    if series.stopped_by is not None:
        raise series.stopped_by
    best = pick_best(names, series.finished)
    keep_default(model, best)
    return best


def pick_best(names: Sequence[str], evaluations: "Sequence[Evaluation]") -> str:
    """Return the name whose images have the lowest MIND, of equals the first.

    Raises:
        RunError: There are so few held-out images that they have no MIND.
    """
    if any(METRIC not in evaluation.quality.numbers for evaluation in evaluations):
        raise RunError(
            "--choose compares with held-out images, and there are too few of them",
            "Leave --choose out, or train with a larger data.held_out.",
        )
    values = [evaluation.quality.numbers[METRIC].value for evaluation in evaluations]
    return names[values.index(min(values))]


def keep_default(model: models.RunModel, weights: str) -> None:
    """Let a run sample from these weights where none are named.

    Raises:
        RunError: Its profile cannot be written.
    """
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.overrides import Override
    from iddm_cli.profiles.writing import save_profile

    path = model.run.profile_path
    profile = load_profile(str(path), [Override(SETTING, weights, "--choose")])
    try:
        save_profile(profile, path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
