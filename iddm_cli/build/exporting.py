"""Trained models, and what a run's files tell of their training, for exports."""

import torch

from iddm_cli.build.models import load_denoiser
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.export.trained_model import Provenance, TrainedModel
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.runs.run import Run


def load_model(
    name: str,
    profile: ResolvedProfile,
    classes: tuple[str, ...],
    saved: WeightsSource,
    provenance: Provenance,
) -> TrainedModel:
    """Load what is exported of a trained model.

    Raises:
        CheckpointError: It is damaged, or is of another network.
    """
    weights = profile.sampling.weights
    return TrainedModel(
        run=name,
        step=saved.step,
        weights=weights,
        profile=profile,
        classes=classes,
        denoiser=load_denoiser(profile, len(classes), saved, weights, torch.device("cpu")),
        provenance=provenance,
    )


def collect_provenance(run: Run, step: int) -> Provenance:
    """Return what a run's files tell of its training, up to a step."""
    rows = [row for row in run.read_metrics() if row["step"] <= step]
    manifest = run.read_json("run.json")
    grid = run.samples_dir / f"step-{step:08d}.png"
    return Provenance(
        dataset=run.read_json("dataset.json"),
        figures=rows[-1] if rows else {},
        made_with={name: str(manifest[name]) for name in ("iddm", "torch") if name in manifest},
        grid=grid.read_bytes() if grid.is_file() else b"",
    )
