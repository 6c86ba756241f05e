"""Load trained models for export, with their provenance."""

import torch

from iddm_cli.build.models import load_denoiser
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.export.trained_model import LatentSpace, Provenance, TrainedModel
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables
from iddm_cli.runs.run import Run
from iddm_cli.value_range import EIGHT_BIT, ValueRange


def load_trained_model(
    name: str,
    profile: ResolvedProfile,
    classes: tuple[str, ...],
    saved: WeightsSource,
    provenance: Provenance,
    values: ValueRange = EIGHT_BIT,
    *,
    tables: TunedTables = NO_TABLES,
    latents: LatentSpace | None = None,
) -> TrainedModel:
    """Load a trained model onto the CPU.

    Args:
        name: The run's name.
        profile: The run's profile with the sampling settings of the export.
        classes: Class names by label.
        saved: The checkpoint or exported file that holds the weights.
        provenance: How it was trained.
        values: The range of values that it was trained on.
        tables: The tables that were tuned for the network.
        latents: The latents that it was trained on; None: it was trained on pixels.

    Raises:
        CheckpointError: The weights are damaged, or belong to another network.
    """
    weights = profile.sampling.weights
    return TrainedModel(
        run=name,
        step=saved.step,
        weights=weights,
        profile=_without_augmentation(profile),
        classes=classes,
        denoiser=load_denoiser(profile, len(classes), saved, weights, torch.device("cpu")),
        provenance=provenance,
        values=values,
        tables=tables,
        latents=latents,
    )


def _without_augmentation(profile: ResolvedProfile) -> ResolvedProfile:
    """Return the profile of the network that is exported, which has no layer for augmentation."""
    data = profile.data.model_copy(update={"augment": "off"})
    return profile.model_copy(update={"data": data})


def collect_provenance(run: Run, step: int) -> Provenance:
    """Return the provenance that a run's files record, up to a step."""
    rows = [row for row in run.read_metrics() if row["step"] <= step]
    manifest = run.read_json("run.json")
    grid = run.samples_dir / f"step-{step:08d}.png"
    return Provenance(
        dataset=run.read_json("dataset.json"),
        metrics=rows[-1] if rows else {},
        versions={name: str(manifest[name]) for name in ("iddm", "torch") if name in manifest},
        sample_grid=grid.read_bytes() if grid.is_file() else b"",
    )
