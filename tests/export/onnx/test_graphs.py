"""Graphs: every supported opset computes the same."""

import pytest
import torch

from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.options import OPSETS, OnnxOptions
from tests.export.conftest import trained
from tests.export.onnx.onnx_exports import OnnxExport


@pytest.mark.parametrize("opset", OPSETS)
def test_every_supported_opset_computes_the_same(opset):
    model = trained(model={"activation": "gelu"}, diffusion={"timesteps": 50})
    options = OnnxOptions(part="denoiser", opset=opset)
    exported = OnnxExport(model, options)
    assert [entry.version for entry in exported.made.opset_import if not entry.domain] == [opset]
    x_t, t, label = torch.randn(5, *model.shape), torch.tensor([0, 9, 20, 31, 49]), torch.arange(5)
    label = label % 3
    inputs = {"x_t": x_t.numpy(), "t": t.numpy(), "label": label.numpy()}
    (found,) = exported.session.run(None, inputs)
    wanted = model.denoiser(x_t, t, label)
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=2e-4, rtol=2e-4)
    assert check.check_onnx_model(model, exported.made, options).within_one == 1
