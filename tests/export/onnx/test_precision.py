"""Lower precision: smaller files with almost the same images."""

import pytest

from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.model_proto import build_onnx_model
from iddm_cli.export.onnx.options import OnnxOptions
from iddm_cli.export.trained_model import TrainedModel
from tests.export.conftest import trained


@pytest.fixture(scope="module")
def large() -> TrainedModel:
    return trained(model={"base_channels": 32})


@pytest.mark.parametrize(
    ("precision", "size", "mean"), [("fp32", 1.1, 0), ("fp16", 0.65, 1), ("int8", 0.55, 8)]
)
def test_lower_precision_gives_smaller_files_with_almost_the_same_images(
    large, precision, size, mean
):
    options = OnnxOptions(precision=precision)
    made = build_onnx_model(large, options)
    assert made.ByteSize() < size * 4 * large.parameters
    agreement = check.check_onnx_model(large, made, options)
    assert agreement.mean <= mean
    assert (agreement.mean == 0) == (precision == "fp32"), "it has become another graph"
