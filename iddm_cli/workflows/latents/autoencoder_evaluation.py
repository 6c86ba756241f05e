"""Evaluate an autoencoder run: what is left of held-out images after encoding and decoding them."""

from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display import console, tables
from iddm_cli.display.progress import show_progress
from iddm_cli.errors import UsageError
from iddm_cli.workflows.evaluating.real_images import open_run_dataset
from iddm_cli.workflows.evaluating.request import EvaluationRequest, SamplingGrid

if TYPE_CHECKING:
    from iddm_cli.evaluation.reconstruction_quality import ReconstructionQuality
    from iddm_cli.workflows.models import ModelSource


def evaluate_autoencoder(
    model: "ModelSource", request: EvaluationRequest, *, out: Path | None, as_json: bool
) -> None:
    """Reconstruct held-out images of a run, or training images, and print how well.

    Args:
        model: The run.
        request: What to evaluate.
        out: File of the page, which there is none of.
        as_json: Whether the result is printed as JSON.

    Raises:
        IddmError: An option does not apply, the images are missing, or the weights are damaged.
    """
    check_options(request, out)
    with show_progress() as progress:
        profile, pack = open_run_dataset(model, progress)
        (checkpoint,), (weights,) = request.grid.checkpoints, request.grid.weights
        name = weights or "average"
        source = model.open_weights(checkpoint, name)

        from iddm_cli.build.compute import setup_compute
        from iddm_cli.build.latents.reconstructions import ReconstructionEvaluator
        from iddm_cli.build.models import load_denoiser

        runtime, sampling = profile.runtime, profile.sampling
        if request.device is not None:
            runtime = runtime.model_copy(update={"device": request.device})
        if request.batch_size is not None:
            sampling = sampling.model_copy(update={"batch_size": request.batch_size})
        profile = profile.model_copy(update={"runtime": runtime, "sampling": sampling})
        denoiser = load_denoiser(profile, 0, source, name, setup_compute(runtime).device)
        quality = ReconstructionEvaluator(profile, pack).measure(denoiser, request.count)
    assert quality is not None, "this process is the only one"
    kind = "held-out" if pack.held_out else "training"
    if as_json:
        document = {"run": model.name, "step": source.step, "part": kind}
        console.print_json({**document, **quality.to_json()})
        return
    console.print_note(f"{quality.images:,} {kind} images of {model.name}, step {source.step}")
    console.out.print(tables.key_value_table(list_rows(quality)))


def list_rows(quality: "ReconstructionQuality") -> list[tuple[str, str]]:
    """Return the rows of the table."""
    top, left = quality.position
    return [
        ("PSNR", f"{quality.psnr:.2f} dB"),
        ("SSIM", f"{quality.ssim:.4f}"),
        ("local error", f"{quality.local_error:.4f}, in {quality.worst} at {left},{top}"),
    ]


def check_options(request: EvaluationRequest, out: Path | None) -> None:
    """Check that no option is given that means nothing for an autoencoder.

    Raises:
        UsageError: One is.
    """
    grid = request.grid
    allowed = SamplingGrid(checkpoints=grid.checkpoints, weights=grid.weights)
    given = {
        "--against": request.against,
        "--image-size": request.image_size,
        "--usefulness": request.usefulness,
        "--canonical": request.canonical,
        "--same-noise": request.same_noise,
        "--out": out,
        "a sampling option": grid != allowed,
        "a list of checkpoints or weights": max(len(grid.checkpoints), len(grid.weights)) > 1,
    }
    if wrong := [option for option, value in given.items() if value]:
        raise UsageError(
            f"{wrong[0]} does not apply to an autoencoder, whose reconstructions are compared with "
            "their originals",
            "Options that do: --count, --checkpoint, --weights, --device, --batch-size, --json.",
        )
