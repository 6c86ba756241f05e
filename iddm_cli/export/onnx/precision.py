"""Conversion of an ONNX graph to lower precision, by onnxruntime's own tools."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx

from iddm_cli.export.onnx.options import Precision

WEIGHTED_OPS = ("Conv", "Gemm", "MatMul")
"""Operators that multiply by weights: most of the file size and of the run time."""


def convert_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph whose weighted operators compute in float16, as autocast does.

    Everything else stays in float32: the frequencies of the time embedding and a division by a
    small alpha would overflow or lose all precision.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    others = sorted({node.op_type for node in model.graph.node} - {*WEIGHTED_OPS})
    converted = convert_float_to_float16(model, keep_io_types=True, op_block_list=others)
    # The converter appends its casts to the end, wherever they are needed.
    OnnxModel(converted).topological_sort()
    return converted


def quantize_to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph with 8-bit weights and dynamic quantization of activations.

    The first and the last convolution, which process the image itself, stay in float32: they have
    few weights, and quantizing them costs much accuracy.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=[*WEIGHTED_OPS],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return onnx.load(path)


PRECISIONS: dict[Precision, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "fp32": lambda model: model,
    "fp16": convert_to_fp16,
    "int8": quantize_to_int8,
}
"""How a float32 graph is converted, by the name of the precision."""
