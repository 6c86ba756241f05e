"""Modules as ONNX graphs, made by torch.onnx (the exporter built on torch.export)."""

from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import randomness

OPSETS = range(18, 24)
"""Below, Split cannot say into how many parts; above, onnxruntime is not there yet."""

WORD = 0xFFFFFFFF
"""The lower half of a 64-bit number."""

BATCH = 2
"""Pictures in the example that a module is traced with; 1 would be taken for a constant."""


class UnconditionalDenoiser(nn.Module):
    """A denoiser without classes, which is asked without labels."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Estimate x."""
        return self.denoiser(x_t, t, torch.zeros_like(t))


class StepNoise(nn.Module):
    """The noise that a sampler adds at a step: a function of a seed, indices and the step.

    Args:
        shape: Channels, height and width of a picture.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, seed: Tensor, index: Tensor, step: Tensor) -> Tensor:
        """Draw it, [B, C, H, W], for a seed of 64 bits, indices, [B], and a step."""
        key = (seed & WORD, (seed >> 32) & WORD)
        return randomness.normal_of(key, items=index, step=step, shape=self.shape)


def build_denoiser_graph(
    denoiser: Denoiser, shape: tuple[int, int, int], *, conditional: bool, opset: int
) -> onnx.ModelProto:
    """Return the denoiser: x_t, t and, with classes, label; to estimate."""
    x_t = torch.zeros(BATCH, *shape)
    t = torch.arange(BATCH)
    inputs = {"x_t": x_t, "t": t} | ({"label": torch.zeros_like(t)} if conditional else {})
    module = denoiser if conditional else UnconditionalDenoiser(denoiser)
    return trace_module(module, inputs, "estimate", opset=opset)


def build_step_noise_graph(shape: tuple[int, int, int], *, opset: int) -> onnx.ModelProto:
    """Return the noise of a step: seed, index and step, to noise."""
    inputs = {"seed": torch.tensor(1), "index": torch.arange(BATCH), "step": torch.tensor(0)}
    return trace_module(StepNoise(shape), inputs, "noise", opset=opset)


def trace_module(
    module: nn.Module, inputs: dict[str, Tensor], output: str, *, opset: int
) -> onnx.ModelProto:
    """Return a module as an ONNX graph.

    Args:
        module: It has one output, shaped like its first input with more than one dimension.
        inputs: An example of each input; those with dimensions may have any number of pictures.
        output: Name of the output.
        opset: Version of ONNX's operators.
    """
    batch = torch.export.Dim("N")
    sizes = tuple({0: batch} if tensor.dim() else None for tensor in inputs.values())
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=sizes,
        )
    assert program is not None, "it is returned where no file is named"
    return program.model_proto


def strip_exporter_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what the exporter notes about the program it came from: traces, shapes, paths."""
    graph = model.graph
    noted: Sequence[Sequence[onnx.NodeProto | onnx.TensorProto | onnx.ValueInfoProto]] = (
        graph.node,
        graph.initializer,
        graph.input,
        graph.output,
    )
    for part in noted:
        for item in part:
            item.ClearField("doc_string")
            item.ClearField("metadata_props")
    del graph.value_info[:]
    del graph.metadata_props[:]
    del model.metadata_props[:]
    return model
