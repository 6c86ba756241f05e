"""Report an evaluation: tables or JSON on stdout, and a page."""

from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.workflows.evaluating.references.reference_report import report_references
from iddm_cli.workflows.evaluating.request import EvaluationRequest
from iddm_cli.workflows.html_pages import check_page, write_page
from iddm_cli.workflows.inspecting import check_image_size
from iddm_cli.workflows.latents.autoencoder_evaluation import evaluate_autoencoder
from iddm_cli.workflows.upscaling.upscaler_evaluation import evaluate_upscaler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iddm_cli.evaluation.results import Evaluation, EvaluationSeries
    from iddm_cli.workflows.evaluating.subjects import Subject


def report_evaluation(
    request: EvaluationRequest, *, out: Path | None, overwrite: bool, as_json: bool
) -> None:
    """Evaluate, and print the result; what can be checked is checked before anything long begins.

    Args:
        request: What to evaluate.
        out: File of the page; None writes none.
        overwrite: Whether it may be replaced.
        as_json: Whether the result is printed as JSON.

    Raises:
        IddmError: An option is invalid, something cannot be used, or the page cannot be written; of
            several settings, those that were finished have been printed, unless as JSON.
        KeyboardInterrupt: Ctrl-C; of several settings, those that were finished have been printed.
    """
    check_request(request)
    if out is not None:
        check_page(out, overwrite=overwrite)

    from iddm_cli.display.evaluation import print_evaluations
    from iddm_cli.workflows.evaluating.subjects import evaluate, find_subject

    subject = find_subject(request)
    if isinstance(subject, str) and request.references is not None and request.against is None:
        report_references(subject, request, out=out, as_json=as_json)
        return
    network = None if isinstance(subject, str) else subject.load_profile([]).model
    if not isinstance(subject, str) and network is not None and network.is_autoencoder:
        evaluate_autoencoder(subject, request, out=out, as_json=as_json)
        return
    if not isinstance(subject, str) and network is not None and network.is_upscaler:
        evaluate_upscaler(subject, request, out=out, as_json=as_json)
        return
    series = evaluate(subject, request)
    if as_json and isinstance(series.stopped_by, IddmError):
        raise series.stopped_by  # its own document is the only one
    if as_json:
        console.print_json(series.to_json())
    else:
        print_evaluations(series)
    if series.stopped_by is not None:
        _report_interruption(series, out)
        raise series.stopped_by
    if out is not None:
        write_page(out, render_page(series.finished, read_metrics(subject)))
        console.print_note(f"report: {out}")


def _report_interruption(series: "EvaluationSeries", out: Path | None) -> None:
    """Say what is missing, and that what has been computed is not lost."""
    missing, count = "; ".join(series.missing), len(series.finished) + len(series.missing)
    page = "" if out is None else f", and {out} was not written"
    console.print_warning(
        f"{len(series.finished)} of {count} settings were evaluated{page}; missing: {missing}"
    )
    console.print_note("To continue, repeat the command: what is finished is kept in the cache.")


def check_request(request: EvaluationRequest) -> None:
    """Check options that contradict each other.

    Raises:
        UsageError: They do.
    """
    if request.image_size is not None:
        text = str(request.image_size)
        check_image_size(text, request.image_size)
    needed = {"--filter": request.filtered, "--real-per-class": request.real_per_class}
    for option, value in needed.items():
        if value and not request.usefulness:
            raise UsageError(f"{option} belongs to --usefulness", "Add --usefulness.")
    weights = request.inception_weights
    if weights is not None and not request.canonical:
        raise UsageError("--inception-weights belongs to --canonical", "Add --canonical.")


def render_page(
    evaluations: "Sequence[Evaluation]", metrics: "Sequence[Mapping[str, object]]"
) -> str:
    """Return the page of an evaluation.

    Args:
        evaluations: The results.
        metrics: Lines of metrics.jsonl of the run.
    """
    from iddm_cli.display.evaluation_page import render_evaluation_page

    first = evaluations[0]
    subject = first.settings.get("run") or first.title
    return render_evaluation_page(evaluations, title=f"Evaluation of {subject}", metrics=metrics)


def read_metrics(subject: "Subject") -> "Sequence[Mapping[str, object]]":
    """Return the lines of metrics.jsonl of a run; nothing of other subjects."""
    from iddm_cli.workflows.models import RunModel

    return subject.run.read_metrics() if isinstance(subject, RunModel) else []
