"""Evaluate a run that upscales: held-out images are made smaller, upscaled, and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display.progress import show_progress
from iddm_cli.errors import UsageError
from iddm_cli.workflows.evaluating.generated_images import build_generator
from iddm_cli.workflows.evaluating.real_images import open_run_dataset
from iddm_cli.workflows.evaluating.references.fidelity_report import report_fidelities
from iddm_cli.workflows.evaluating.sampling_choices import (
    SamplingChoice,
    list_choices,
    name_choices,
)

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.evaluation.pair_fidelity import Fidelity, PairFidelity
    from iddm_cli.workflows.evaluating.request import EvaluationRequest
    from iddm_cli.workflows.models import ModelSource

DEFAULT_COUNT = 200
INTERPOLATED = "bicubic interpolation"
"""Title of what the model is compared with: the smaller images, only enlarged."""


@dataclass(frozen=True)
class Originals:
    """Images that are made smaller, and upscaled again.

    Attributes:
        description: What messages call them.
        x: The images in [-1, 1], [N, C, H, W].
        labels: Their classes.
        names: Their names.
    """

    description: str
    x: "Tensor"
    labels: tuple[int, ...]
    names: tuple[str, ...]


def evaluate_upscaler(
    model: "ModelSource", request: "EvaluationRequest", *, out: Path | None, as_json: bool
) -> None:
    """Upscale held-out images of a run, and print PSNR and SSIM of each way of doing it.

    Args:
        model: The run.
        request: What to evaluate.
        out: File of the page; None writes none.
        as_json: Whether the result is printed as JSON.

    Raises:
        IddmError: An option does not apply, the images are missing, or the weights are damaged.
    """
    check_options(request)
    with show_progress() as progress:
        choices = list_choices(model, request, progress)
        originals, warnings = load_originals(model, request.count or DEFAULT_COUNT, progress)
        results = [(INTERPOLATED, _measure_interpolation(model, originals))]
        for choice, title in zip(choices, name_choices(choices), strict=True):
            results.append(
                (title, _measure_choice(model, choice, originals, request.seed, progress))
            )

    evaluations = [{"title": title, **one.to_json()} for title, one in results]
    report_fidelities(
        f"upscaled images of {model.name}",
        results,
        warnings,
        document={"run": model.name, "evaluations": evaluations} if as_json else None,
        out=out,
        page_title=f"Evaluation of {model.name}",
    )


def check_options(request: "EvaluationRequest") -> None:
    """Check that no option is given that means nothing for a run that upscales.

    Raises:
        UsageError: One is.
    """
    given = {
        "--against": request.against,
        "--image-size": request.image_size,
        "--usefulness": request.usefulness,
        "--canonical": request.canonical,
        "--same-noise": request.same_noise,
    }
    if wrong := [option for option, value in given.items() if value]:
        raise UsageError(
            f"{wrong[0]} does not apply to a run that upscales, whose images are compared with "
            "their originals",
            "Upscale a folder with iddm upscale, and evaluate that folder.",
        )


def load_originals(
    model: "ModelSource", most: int, progress: "ProgressCallback"
) -> tuple[Originals, list[str]]:
    """Return held-out images of a run, evenly spread; of one that has none, training images.

    Raises:
        DatasetError: They are unknown or missing.
    """
    from iddm_cli.build.samples.sample_grid import choose_evenly
    from iddm_cli.build.samples.upscaled_rows import read_originals

    profile, pack = open_run_dataset(model, progress)
    part = pack.held_out or pack
    warnings = []
    if pack.held_out is None:
        warnings.append(
            f"run {model.name} has no held-out images: the images are those that it was trained on"
        )
    rows = choose_evenly(part.count, most)
    names = part.names
    kind = "held-out" if pack.held_out else "training"
    found = Originals(
        f"{kind} images of {model.name}",
        read_originals(profile, pack, rows),
        tuple(int(part.labels[row]) for row in rows),
        tuple(names[row] for row in rows),
    )
    return found, warnings


def _measure_interpolation(model: "ModelSource", originals: Originals) -> "Fidelity":
    from iddm_cli.data.loader.low_resolution import enlarge, reduce_size
    from iddm_cli.engine.image_generator import to_pixels

    factor = model.load_profile([]).model.upscale_factor
    large = enlarge(reduce_size(originals.x, factor), factor)
    pixels = to_pixels(large, model.values.levels).permute(0, 2, 3, 1)
    return _compare(list(pixels), originals, model.values.levels)


def _measure_choice(
    model: "ModelSource",
    choice: SamplingChoice,
    originals: Originals,
    seed: int,
    progress: "ProgressCallback",
) -> "Fidelity":
    """Upscale the smaller images by one way, without noise, and compare them."""
    from iddm_cli.data.loader.low_resolution import reduce_size
    from iddm_cli.engine.image_generator import SampleSpec
    from iddm_cli.engine.sampling.upscaler import Upscaler

    settings, size = choice.profile.model, choice.profile.sampling.batch_size
    factor = settings.upscale_factor
    generator = build_generator(model, choice)
    upscaler = Upscaler(generator, factor, noise_level=0.0, divisor=settings.size_divisor)
    low = reduce_size(originals.x, factor)
    specs = [SampleSpec(label, i) for i, label in enumerate(originals.labels)]
    pixels: list[Tensor] = []
    for start in range(0, len(specs), size):
        batch = specs[start : start + size]
        pixels += upscaler.upscale_values(low[start : start + size], batch, seed=seed).cpu()
        progress(f"upscaling images ({model.name})", len(pixels), len(specs))
    return _compare(pixels, originals, model.values.levels)


def _compare(pixels: "Sequence[Tensor]", originals: Originals, levels: int) -> "Fidelity":
    """Return how close images, [H, W, C] each, are to their originals."""
    from iddm_cli.evaluation.pair_fidelity import Fidelity, measure_batch

    measured: list[PairFidelity] = []
    for name, image, x in zip(originals.names, pixels, originals.x, strict=True):
        values = image.permute(2, 0, 1)[None].double() / (levels / 2) - 1
        measured += measure_batch([name], values, x[None])
    return Fidelity(originals.description, tuple(measured))
