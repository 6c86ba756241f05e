"""Export to one safetensors file: the weights and the record that `iddm generate` needs."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save

from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.export.formats import ExportArtifact, Progress
from iddm_cli.export.trained_model import TrainedModel
from iddm_cli.runs.exported_file import AUTOENCODER, FORMAT, KEY
from iddm_cli.value_range import EIGHT_BIT

DATASET_KEYS = ("count", "classes")
"""Keys of dataset.json that the record keeps."""


def export_safetensors(model: TrainedModel, *, progress: Progress) -> ExportArtifact:
    """Export a model as one safetensors file."""
    with progress("exporting"):
        return ExportArtifact(build_safetensors(model))


def build_safetensors(model: TrainedModel) -> bytes:
    """Return the content of the file. Of paths it keeps only the last component."""
    tensors, record = _list_tensors(model), _describe_model(model)
    if model.latents is not None:
        autoencoder = model.latents.autoencoder
        own = _list_tensors(autoencoder)
        record["autoencoder"] = {**_describe_model(autoencoder), "sha256": _digest(own)}
        record["dataset"]["latents"] = model.latents.scale.to_json()
        tensors |= {f"{AUTOENCODER}{name}": tensor for name, tensor in own.items()}
    record["sha256"] = _digest(tensors)
    return save(tensors, {KEY: json.dumps(record)})


def _list_tensors(model: TrainedModel) -> Tensors:
    return {k: v.contiguous() for k, v in model.denoiser.backbone.state_dict().items()}


def _digest(tensors: Tensors) -> str:
    """Return the SHA-256 of the bytes of tensors in a file."""
    content = save(tensors)
    start = 8 + int.from_bytes(content[:8], "little")
    return hashlib.sha256(content[start:]).hexdigest()


def _describe_model(model: TrainedModel) -> dict[str, Any]:
    """Return the record of a model, without the SHA-256."""
    data, dataset = model.profile.data, model.provenance.dataset
    encoder = None if data.encoder is None else Path(data.encoder).name or data.encoder
    public_data = data.model_copy(
        update={"path": Path(data.path).name or data.path, "encoder": encoder}
    )
    values = {} if model.values == EIGHT_BIT else {"values": model.values.to_json()}
    return {
        "format": FORMAT,
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "profile": model.profile.model_copy(update={"data": public_data}).model_dump(),
        "classes": list(model.classes),
        "versions": dict(model.provenance.versions),
        "tuned": model.tables.to_json() if model.tables else {},
        "dataset": {key: dataset[key] for key in DATASET_KEYS if key in dataset} | values,
    }
