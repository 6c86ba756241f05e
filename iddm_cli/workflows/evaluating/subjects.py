"""Evaluate a run, an exported file or a folder: real images, generated ones, and every number."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from iddm_cli.display.progress import show_progress
from iddm_cli.errors import IddmError, RunError, UsageError
from iddm_cli.workflows import models
from iddm_cli.workflows.evaluating.generated_images import load_generated_images
from iddm_cli.workflows.evaluating.image_folders import choose_size, load_folder_images
from iddm_cli.workflows.evaluating.image_probes import probe_images
from iddm_cli.workflows.evaluating.image_warnings import warn_of_values
from iddm_cli.workflows.evaluating.measuring import Measuring
from iddm_cli.workflows.evaluating.real_images import (
    load_dataset_images,
    load_other_images,
    load_run_images,
    name_dataset,
)
from iddm_cli.workflows.evaluating.references.reference_report import measure
from iddm_cli.workflows.evaluating.request import DEFAULT_COUNT, EvaluationRequest, SamplingGrid
from iddm_cli.workflows.evaluating.sampling_choices import (
    SamplingChoice,
    list_choices,
    name_choices,
)

if TYPE_CHECKING:
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.evaluation.results import Evaluation, EvaluationSeries


Subject = models.RunModel | models.FileModel | str
"""What is evaluated: a model, or the path of a folder of images."""


def evaluate(subject: Subject, request: EvaluationRequest) -> "EvaluationSeries":
    """Return the evaluation of each way of generating with a model, or of a folder.

    Raises:
        IddmError: Something is invalid, or cannot be used.
        KeyboardInterrupt: Nothing was finished by then.
    """
    from iddm_cli.evaluation.results import EvaluationSeries

    with show_progress() as progress:
        if isinstance(subject, str):
            return EvaluationSeries((_evaluate_folder(subject, request, progress),))
        return _evaluate_model(subject, request, progress)


def find_subject(request: EvaluationRequest) -> Subject:
    """Return the model that is evaluated, or the path of a folder of images.

    Raises:
        RunError: There is no such run.
        UsageError: It is a folder, and no dataset to compare with is given.
    """
    from iddm_cli.data.sources.source import find_existing

    try:
        model = models.find_model(request.runs_dir, request.subject)
        _check_no_references(model, request)
        return model
    except RunError:
        path = find_existing(request.subject or "")
        if request.subject is None or path is None or (path / "run.json").exists():
            raise
    if request.against is None and request.references is None:
        raise UsageError(
            f"{request.subject} is not a run, and a folder of images needs real ones to compare "
            "with",
            f"Name them: iddm evaluate {request.subject} --against DATASET, or --references FOLDER "
            "for images of the same names",
        )
    if request.grid != SamplingGrid() or request.same_noise:
        raise UsageError(
            f"{request.subject} is a folder of images, so there is nothing to sample",
            "Leave out --sampler, --steps, --guidance, --checkpoint, --weights, --precision and "
            "--same-noise.",
        )
    return request.subject


def _check_no_references(model: "models.ModelSource", request: EvaluationRequest) -> None:
    """Check that references are given for a folder alone.

    Raises:
        UsageError: They are given for a model.
    """
    if request.references is not None:
        raise UsageError(
            f"--references: {model.reference} is a model, whose images have other names",
            "Name a folder of images: iddm evaluate FOLDER --references FOLDER",
        )


def _evaluate_folder(
    folder: str, request: EvaluationRequest, progress: "ProgressCallback"
) -> "Evaluation":
    assert request.against is not None, "find_subject has checked it"
    probe, title = probe_images(folder), name_dataset(folder)
    size, note = (request.image_size, "") if request.image_size else choose_size(probe)
    real = load_dataset_images(request.against, size, progress)
    generated, real = load_folder_images(folder, real, most=request.count, progress=progress)
    notes = [note] * bool(note) + [*warn_of_values(probe, real.values, title)]
    real = replace(real, warnings=(*notes, *real.warnings))
    evaluation = Measuring(real, request, progress).evaluate(generated, title=title, settings={})
    if request.references is None:
        return evaluation
    fidelity, warnings = measure(folder, request, progress)
    warned = (*evaluation.warnings, *warnings)
    return replace(evaluation, fidelity=fidelity, warnings=warned)


def _evaluate_model(
    model: "models.RunModel | models.FileModel",
    request: EvaluationRequest,
    progress: "ProgressCallback",
) -> "EvaluationSeries":
    if request.image_size is not None:
        raise UsageError(
            "--image-size: a run has a size of its own", "Leave it out, or evaluate a folder."
        )
    choices = list_choices(model, request, progress)
    if request.against is None:
        real = load_run_images(model, progress)
    else:
        real = load_other_images(model, request.against, progress)
    measuring = Measuring(real, request, progress)
    return evaluate_choices(
        choices, lambda choice, title: _evaluate_choice(model, choice, title, measuring)
    )


def evaluate_choices(
    choices: Sequence[SamplingChoice], measure: "Callable[[SamplingChoice, str], Evaluation]"
) -> "EvaluationSeries":
    """Evaluate one choice after another; after Ctrl-C or an error, return what is finished.

    Args:
        choices: The choices.
        measure: Evaluates one of them under a title.

    Raises:
        IddmError: The first one failed.
        KeyboardInterrupt: Not even the first one was finished.
    """
    from iddm_cli.evaluation.results import EvaluationSeries

    titles = name_choices(choices)
    finished: list[Evaluation] = []
    stopped_by: BaseException | None = None
    try:
        for choice, title in zip(choices, titles, strict=True):
            finished.append(measure(choice, title))
    except (KeyboardInterrupt, IddmError) as error:
        if not finished:
            raise
        stopped_by = error
    return EvaluationSeries(tuple(finished), tuple(titles[len(finished) :]), stopped_by)


def _evaluate_choice(
    model: "models.RunModel | models.FileModel",
    choice: SamplingChoice,
    title: str,
    measuring: Measuring,
) -> "Evaluation":
    real, request = measuring.real, measuring.request
    counts = real.class_counts() if model.classes else [len(real.real)]
    if model.classes and real.real.labels is None:
        counts = [1] * len(model.classes)
    generated = load_generated_images(
        model,
        choice,
        counts,
        request.count or DEFAULT_COUNT,
        seed=request.seed,
        same_noise=request.same_noise,
        name=f"generated images of {model.name}",
        progress=measuring.progress,
    )
    settings = {"run": model.name, **choice.describe(), "seed": request.seed}
    if model.classes and not request.same_noise:
        settings["noise"] = "own"
    return measuring.evaluate(generated, title=title, settings=settings)
