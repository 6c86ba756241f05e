"""Finished classifiers: what each one predicted, kept in a folder; none is trained twice."""

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli import durable

FORMAT = 1
"""To be raised with every change of what a classifier is trained on, or how."""


class FinishedClassifiers:
    """Predictions of classifiers on the test images, by a digest of everything that decides them.

    Args:
        folder: Where they are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def load(self, facts: object, count: int) -> Tensor | None:
        """Return the predictions of a finished classifier, int64 [count]; None if there are none.

        Args:
            facts: Everything that decides them; their `repr` is what counts.
            count: Number of test images.
        """
        path = self._path(facts)
        if path is None:
            return None
        try:
            predictions = torch.tensor(json.loads(path.read_text())["predictions"])
        except (OSError, ValueError, KeyError, TypeError):  # damaged: trained again
            return None
        known = predictions.shape == (count,) and predictions.dtype == torch.int64
        return predictions if known else None

    def save(self, facts: object, predictions: Tensor) -> None:
        """Keep the predictions of a classifier; a failed write costs only a repetition."""
        path = self._path(facts)
        if path is None:
            return
        content = {"facts": repr(facts), "predictions": predictions.tolist()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write_file(path, json.dumps(content).encode(), flush=False)
        except OSError:
            self.folder = None

    def _path(self, facts: object) -> Path | None:
        if self.folder is None:
            return None
        digest = hashlib.sha256(repr((FORMAT, facts)).encode()).hexdigest()
        return self.folder / f"{digest[:32]}.json"
