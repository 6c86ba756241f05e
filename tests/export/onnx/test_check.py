"""Verification: a file that is invalid or generates other images is refused."""

import onnx
import pytest

from iddm_cli.engine import randomness
from iddm_cli.errors import IddmError
from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.model_proto import build_onnx_model
from iddm_cli.export.onnx.options import OnnxOptions
from tests.export.conftest import trained

OPTIONS = OnnxOptions()


@pytest.fixture(scope="module")
def content() -> bytes:
    return build_onnx_model(trained(), OPTIONS).SerializeToString()


def test_a_graph_that_generates_other_images_is_refused(content):
    model, made, options = trained(), onnx.load_from_string(content), OPTIONS
    assert check.check_onnx_model(model, made, options).within_one == 1
    for parameter in model.denoiser.parameters():
        parameter.mul_(1.05)
    with pytest.raises(IddmError, match="generates other images than PyTorch"):
        check.check_onnx_model(model, made, options)


def test_an_invalid_graph_is_refused(content):
    model, made, options = trained(), onnx.load_from_string(content), OPTIONS
    made.graph.node[0].op_type = "NoSuch"
    with pytest.raises(IddmError, match="not valid ONNX"):
        check.check_onnx_model(model, made, options)


def test_the_seed_is_the_documented_hash():
    import hashlib

    for purpose in ("sample", "upscale"):
        digest = hashlib.sha256(f"3/{purpose}-step".encode()).digest()[:8]
        seed = int(check.encode_seed(3, purpose))
        assert seed == int.from_bytes(digest, "little", signed=True)
    digest = hashlib.sha256(b"3/sample-step").digest()[:8]
    assert int(check.encode_seed(3)) == int.from_bytes(digest, "little", signed=True)
    assert randomness.key_of(3, "sample-step")[0] == int.from_bytes(digest[:4], "little")
