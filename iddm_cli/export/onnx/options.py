"""The options of an ONNX export; imports neither torch nor onnx."""

from dataclasses import dataclass
from typing import Literal

OPSETS = range(18, 24)
"""Supported opsets: Split has num_outputs from 18 on; onnxruntime does not run 24 yet."""

Part = Literal["pipeline", "denoiser", "decoder"]
Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class OnnxOptions:
    """What is exported of a model, and how.

    Attributes:
        part: pipeline: from noise to pixels; denoiser: from x_t, t and label to an estimate of x;
            decoder: of a latent model, from latents to pixels.
        precision: Numbers that weights are stored and multiplied in.
        opset: Version of the ONNX operators, in OPSETS.
    """

    part: Part = "pipeline"
    precision: Precision = "fp32"
    opset: int = 20
