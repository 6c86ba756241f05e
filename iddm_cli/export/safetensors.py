"""One safetensors file: the weights, and all that `iddm generate FILE.safetensors` needs."""

import hashlib
import json
from pathlib import Path

from safetensors.torch import save

from iddm_cli.export.trained_model import TrainedModel
from iddm_cli.runs.exported_file import FORMAT, KEY

DATASET_KEYS = ("count", "classes")
"""What is told of the dataset."""


def build_safetensors(model: TrainedModel) -> bytes:
    """Return the file. Of the machine it was trained on it tells no folder but the last name."""
    tensors = {k: v.contiguous() for k, v in model.denoiser.backbone.state_dict().items()}
    bare = save(tensors)
    start = 8 + int.from_bytes(bare[:8], "little")
    data, dataset = model.profile.data, model.provenance.dataset
    pathless = data.model_copy(update={"path": Path(data.path).name or data.path})
    record = {
        "format": FORMAT,
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "profile": model.profile.model_copy(update={"data": pathless}).model_dump(),
        "classes": list(model.classes),
        "versions": dict(model.provenance.made_with),
        "dataset": {key: dataset[key] for key in DATASET_KEYS if key in dataset},
        "sha256": hashlib.sha256(bare[start:]).hexdigest(),
    }
    return save(tensors, {KEY: json.dumps(record)})
