"""Feature extractors: a trained feature network with its cache, and how far it can be trusted."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.errors import DatasetError, IddmError
from iddm_cli.evaluation.features.feature_cache import FEATURES, FeatureCache
from iddm_cli.evaluation.features.feature_network import DIMENSIONS, FeatureNetwork
from iddm_cli.evaluation.features.feature_training import (
    RECIPE,
    ROTATIONS,
    build_network,
    rotate_set,
    train_network,
)
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.results import FeatureSummary

BATCH_SIZE = 256


@dataclass(frozen=True)
class FeatureExtractor:
    """Turns images into feature vectors, and into the classes that it sees in them.

    Attributes:
        network: The network, in evaluation mode.
        summary: What it was trained for, and its accuracy.
        digest: SHA-256 of its weights.
        cache: Where features are kept.
    """

    network: FeatureNetwork
    summary: FeatureSummary
    digest: str
    cache: FeatureCache

    def features(self, images: ImageSet, progress: ProgressCallback = no_progress) -> Tensor:
        """Return the feature vectors, [N, D], float32."""
        return self._outputs(images, progress)["features"]

    def predict(self, images: ImageSet, progress: ProgressCallback = no_progress) -> Tensor:
        """Return the class that the network sees in each image, int64 [N]."""
        assert self.summary.task == "classes", "a network of rotations knows no classes"
        return self._outputs(images, progress)["predicted"]

    def _outputs(self, images: ImageSet, progress: ProgressCallback) -> Mapping[str, Tensor]:
        return compute_outputs(self.network, self.digest, images, self.cache, progress)


def load_or_train(
    training: ImageSet,
    test: ImageSet,
    *,
    folder: Path,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> FeatureExtractor:
    """Load the feature network of a dataset from the cache, or train it.

    With at least two classes it learns to name them, without to tell rotations.

    Args:
        training: Images to train on.
        test: Other images, on which its accuracy is measured; may be empty.
        folder: Folder of the cache.
        seed: Random seed of the training.
        progress: Called after every step and batch.

    Raises:
        DatasetError: There is no image to train on.
    """
    if not len(training):
        raise DatasetError(f"no image in {training.name} to train a feature network on")
    cache = FeatureCache(folder)
    named = training.labels is not None and len(training.labels.unique()) > 1
    outputs = len(training.classes) if named else ROTATIONS
    network = build_network(training.pixels.shape[1], outputs, seed=seed)
    facts = {"recipe": RECIPE, "images": training.digest, "seed": seed}
    name = f"network-{_short_digest(repr(facts))}"
    weights = cache.load(name, facts)
    if weights is None:
        train_network(network, training, named=named, seed=seed, progress=progress)
        cache.save(name, facts, network.state_dict())
    else:
        network.load_state_dict(weights)
    network.eval()
    digest = _digest_of(network)
    task_set = test if named else rotate_set(test, seed)
    predicted = compute_outputs(network, digest, task_set, cache, progress)["predicted"]
    summary = _summarize(task_set, predicted, named=named, trained_on=len(training))
    return FeatureExtractor(network, summary, digest, cache)


def compute_outputs(
    network: FeatureNetwork,
    digest: str,
    images: ImageSet,
    cache: FeatureCache,
    progress: ProgressCallback = no_progress,
) -> Mapping[str, Tensor]:
    """Return `features`, float32 [N, D], and `predicted`, int64 [N], from the cache or anew.

    Raises:
        IddmError: The images have another number of channels than those that it was trained on.
    """
    _check_channels(network, images)
    facts = {"network": digest, "images": images.digest}
    name = f"{FEATURES}{_short_digest(repr(facts))}"
    outputs = cache.load(name, facts)
    if outputs is None:
        outputs = _compute(network, images, progress)
        cache.save(name, facts, outputs)
    return outputs


@torch.inference_mode()
def _compute(
    network: FeatureNetwork, images: ImageSet, progress: ProgressCallback
) -> dict[str, Tensor]:
    features, predicted = [], []
    for start in range(0, len(images), BATCH_SIZE):
        batch, logits = network.describe(images.images(start, start + BATCH_SIZE))
        features.append(batch)
        predicted.append(logits.argmax(1))
        progress(f"features of {images.name}", min(start + BATCH_SIZE, len(images)), len(images))
    if not features:
        return {
            "features": torch.zeros(0, DIMENSIONS),
            "predicted": torch.zeros(0, dtype=torch.int64),
        }
    return {"features": torch.cat(features), "predicted": torch.cat(predicted)}


def _summarize(
    images: ImageSet, predicted: Tensor, *, named: bool, trained_on: int
) -> FeatureSummary:
    labels = torch.zeros(0) if images.labels is None else images.labels
    shown = labels.unique().tolist()
    recalls = [float((predicted[labels == k] == k).double().mean()) for k in shown]
    return FeatureSummary(
        task="classes" if named else "rotations",
        accuracy=sum(recalls) / len(recalls) if recalls else math.nan,
        chance=1 / max(1, len(shown)),
        trained_on=trained_on,
        tested_on=len(labels),
    )


def _check_channels(network: FeatureNetwork, images: ImageSet) -> None:
    if images.pixels.shape[1] != network.channels:
        raise IddmError(
            f"{images.name} has {images.pixels.shape[1]} channels, the images that the feature"
            f" network was trained on have {network.channels}",
            "Compare images of the same number of channels.",
        )


def _digest_of(network: FeatureNetwork) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
