"""Export to one safetensors file: the weights and the record that `iddm generate` needs."""

import hashlib
import json
from pathlib import Path

from safetensors.torch import save

from iddm_cli.export.formats import ExportArtifact, Progress
from iddm_cli.export.trained_model import TrainedModel
from iddm_cli.runs.exported_file import FORMAT, KEY
from iddm_cli.value_range import EIGHT_BIT

DATASET_KEYS = ("count", "classes")
"""Keys of dataset.json that the record keeps."""


def export_safetensors(model: TrainedModel, *, progress: Progress) -> ExportArtifact:
    """Export a model as one safetensors file."""
    with progress("exporting"):
        return ExportArtifact(build_safetensors(model))


def build_safetensors(model: TrainedModel) -> bytes:
    """Return the content of the file. Of the dataset's path it keeps only the last component."""
    tensors = {k: v.contiguous() for k, v in model.denoiser.backbone.state_dict().items()}
    unlabelled = save(tensors)
    start = 8 + int.from_bytes(unlabelled[:8], "little")
    data, dataset = model.profile.data, model.provenance.dataset
    public_data = data.model_copy(update={"path": Path(data.path).name or data.path})
    values = {} if model.values == EIGHT_BIT else {"values": model.values.to_json()}
    record = {
        "format": FORMAT,
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "profile": model.profile.model_copy(update={"data": public_data}).model_dump(),
        "classes": list(model.classes),
        "versions": dict(model.provenance.versions),
        "tuned": model.tables.to_json() if model.tables else {},
        "dataset": {key: dataset[key] for key in DATASET_KEYS if key in dataset} | values,
        "sha256": hashlib.sha256(unlabelled[start:]).hexdigest(),
    }
    return save(tensors, {KEY: json.dumps(record)})
