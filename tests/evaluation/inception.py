"""Weights of Inception of the right shapes, and random values, where a download would put them."""

import io

import pytest
import torch

from iddm_cli.engine import randomness
from iddm_cli.evaluation.inception_weights import default_weights_path


def write_random_weights(folder):
    """Write weights into the cache of torch hub in this folder, and return the file."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    class Shapes(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            """Keep the initial values."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    randomness.seed_library(0, "inception", step=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder))
        file = default_weights_path()
    file.parent.mkdir(parents=True)
    torch.save(Shapes("shapes", ["64"], nothing).state_dict(), file)
    return file
