import pytest

from iddm_cli.evaluation.features.extractor import load_or_train
from tests.evaluation.shapes import render_shapes
from tests.threads import one_thread  # noqa: F401


@pytest.fixture(scope="session")
def extractor(tmp_path_factory):
    """A network that names shapes, trained on 240 images."""
    folder = tmp_path_factory.mktemp("features")
    return load_or_train(render_shapes(60), render_shapes(30, seed=1), folder=folder)
