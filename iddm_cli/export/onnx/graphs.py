"""Conversion of modules to ONNX graphs by torch.onnx (the exporter built on torch.export)."""

from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import randomness
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.export.decoding_program import DecodingProgram

LOW_32_BITS = 0xFFFFFFFF

BATCH = 2
"""Batch size of the example inputs; torch.export would treat a batch size of 1 as a constant."""


class UnconditionalDenoiser(nn.Module):
    """A denoiser without classes, called without labels."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Estimate x."""
        return self.denoiser(x_t, t, torch.zeros_like(t))


class StepNoise(nn.Module):
    """The noise that a sampler adds at a step: a function of the seed, the indices and the step.

    Args:
        shape: Channels, height and width of an image.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, seed: Tensor, index: Tensor, step: Tensor) -> Tensor:
        """Return the noise, [B, C, H, W], for a 64-bit seed, indices, [B], and a step."""
        key = (seed & LOW_32_BITS, (seed >> 32) & LOW_32_BITS)
        return randomness.normal_of(key, items=index, step=step, shape=self.shape)


def build_denoiser_graph(
    denoiser: Denoiser, shape: tuple[int, int, int], *, conditional: bool, opset: int
) -> onnx.ModelProto:
    """Return the denoiser's graph: x_t, t and, with classes, label -> estimate."""
    x_t = torch.zeros(BATCH, *shape)
    t = torch.arange(BATCH)
    inputs = {"x_t": x_t, "t": t} | ({"label": torch.zeros_like(t)} if conditional else {})
    module = denoiser if conditional else UnconditionalDenoiser(denoiser)
    return trace_module(module, inputs, "estimate", opset=opset)


def build_decoder_graph(
    decoder: LatentDecoder, shape: tuple[int, int, int], *, opset: int
) -> onnx.ModelProto:
    """Return the decoder's graph: latents of a shape, [C, H, W] -> decoded."""
    inputs = {"latents": torch.zeros(BATCH, *shape)}
    return trace_module(DecodingProgram(decoder), inputs, "decoded", opset=opset)


def build_step_noise_graph(shape: tuple[int, int, int], *, opset: int) -> onnx.ModelProto:
    """Return the graph of the noise of a step: seed, index, step -> noise."""
    inputs = {"seed": torch.tensor(1), "index": torch.arange(BATCH), "step": torch.tensor(0)}
    return trace_module(StepNoise(shape), inputs, "noise", opset=opset)


def trace_module(
    module: nn.Module, inputs: dict[str, Tensor], output: str, *, opset: int
) -> onnx.ModelProto:
    """Trace a module and return its ONNX graph.

    Args:
        module: A module with one output, whose batch size is that of its inputs.
        inputs: An example of each input by its name; the first dimension, if any, is the batch.
        output: Name of the output.
        opset: Version of the ONNX operators.
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
    assert program is not None, "torch.onnx.export returns a program if it writes no file"
    return program.model_proto


def strip_exporter_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's notes about the traced program: stack traces, shapes, paths."""
    graph = model.graph
    annotated: Sequence[Sequence[onnx.NodeProto | onnx.TensorProto | onnx.ValueInfoProto]] = (
        graph.node,
        graph.initializer,
        graph.input,
        graph.output,
    )
    for part in annotated:
        for item in part:
            item.ClearField("doc_string")
            item.ClearField("metadata_props")
    del graph.value_info[:]
    del graph.metadata_props[:]
    del model.metadata_props[:]
    return model
