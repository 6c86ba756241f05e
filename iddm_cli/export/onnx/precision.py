"""Smaller numbers in an ONNX graph, by onnxruntime's own tools."""

import tempfile
from pathlib import Path

import onnx

HEAVY = ("Conv", "Gemm", "MatMul")
"""What multiplies by weights: most of the file and of the time."""


def convert_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph whose heavy nodes compute in float16, as autocast does; half the size.

    All else stays in float32: the frequencies of the time embedding and a division by a small
    alpha would not survive.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    others = sorted({node.op_type for node in model.graph.node} - {*HEAVY})
    made = convert_float_to_float16(model, keep_io_types=True, op_block_list=others)
    # It puts its casts last, wherever they are needed.
    OnnxModel(made).topological_sort()
    return made


def quantize_to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph with weights of 8 bits, its activations quantised as it runs.

    The first and the last convolution, which meet the picture itself, stay in float32: they weigh
    little, and cost much.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=[*HEAVY],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return onnx.load(path)


PRECISIONS = {"fp32": lambda model: model, "fp16": convert_to_fp16, "int8": quantize_to_int8}
