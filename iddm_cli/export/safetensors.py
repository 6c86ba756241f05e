"""One safetensors file: the weights, and all that `iddm generate FILE.safetensors` needs."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from iddm_cli.engine.fit import (
    Tensors,
    check_fit,
    first,
    kinds_in,
    kinds_of,
    not_finite,
)
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.model import TrainedModel
from iddm_cli.exported import FORMAT, KEY, Exported

KINDS = {"average": "average", "model": "raw"}
"""Parts of a checkpoint, and what the profile calls them."""

TOLD = ("count", "classes")
"""What is told of the dataset."""


def content(model: TrainedModel) -> bytes:
    """Return the file. Of the machine it was trained on it tells no folder but the last name."""
    tensors = {k: v.contiguous() for k, v in model.denoiser.backbone.state_dict().items()}
    bare = save(tensors)
    start = 8 + int.from_bytes(bare[:8], "little")
    data, dataset = model.profile.data, model.story.dataset
    pathless = data.model_copy(update={"path": Path(data.path).name or data.path})
    record = {
        "format": FORMAT,
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "profile": model.profile.model_copy(update={"data": pathless}).model_dump(),
        "classes": list(model.classes),
        "versions": dict(model.story.made_with),
        "dataset": {key: dataset[key] for key in TOLD if key in dataset},
        "sha256": hashlib.sha256(bare[start:]).hexdigest(),
    }
    return save(tensors, {KEY: json.dumps(record)})


class SavedWeights:
    """The weights of an exported file, in the place of a checkpoint.

    Args:
        exported: The file.
    """

    def __init__(self, exported: Exported) -> None:
        self.exported = exported
        self.step = exported.record.step

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read the weights, checking their digest.

        Args:
            part: model or average.
            like: What they must fit, by names, shapes and types; before any is read.

        Raises:
            UsageError: The file holds the others.
            CheckpointError: They are not what was written, do not fit, or are not finite.
        """
        path, there = self.exported.path, self.exported.record.weights
        if KINDS[part] != there:
            raise UsageError(f"{path} holds the {there} weights only", f"Use --weights {there}.")
        try:
            if like is not None:
                check_fit(kinds_of(like), kinds_in(path), str(path))
            self.exported.verify()
            tensors = load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path}: {first(error)}") from error
        name = not_finite(tensors)
        if name is not None:
            raise CheckpointError(f"{path}: {first(name)} holds numbers that are not finite")
        return tensors
