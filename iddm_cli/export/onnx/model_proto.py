"""A trained model as one ONNX file: all the way to pixels, or the denoiser alone."""

import json
from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import helper

from iddm_cli import __version__
from iddm_cli.engine.image_generator import build_solver_table
from iddm_cli.errors import UsageError
from iddm_cli.export.exporter_output import suppress_exporter_output
from iddm_cli.export.onnx.graphs import (
    build_denoiser_graph,
    build_step_noise_graph,
    strip_exporter_metadata,
)
from iddm_cli.export.onnx.pipeline import PipelineSpec, pipeline
from iddm_cli.export.onnx.precision import PRECISIONS
from iddm_cli.export.trained_model import TrainedModel

Part = Literal["pipeline", "denoiser"]
Precision = Literal["fp32", "fp16", "int8"]

MOST_BYTES = 2**31 - 2**20
"""An ONNX file is one protobuf message, which can be no longer; a little is for the graph."""


@dataclass(frozen=True)
class OnnxOptions:
    """What is exported of a model, and how.

    Attributes:
        part: pipeline: from noise to pixels; denoiser: from x_t, t and label to an estimate of x.
        precision: fp32, fp16 or int8.
        opset: Version of ONNX's operators.
    """

    part: Part = "pipeline"
    precision: Precision = "fp32"
    opset: int = 20


def pipeline_spec(model: TrainedModel) -> PipelineSpec:
    """Return how a model's profile wants pictures drawn."""
    sampling = model.profile.sampling
    return PipelineSpec(
        table=build_solver_table(sampling, model.denoiser.schedule),
        guidance=sampling.guidance,
        clip=sampling.clip,
        num_classes=len(model.classes),
        shape=model.shape,
    )


def build_onnx_model(model: TrainedModel, form: OnnxOptions) -> onnx.ModelProto:
    """Return the ONNX file of a model.

    Raises:
        UsageError: It is larger than an ONNX file can be.
    """
    if 4 * model.parameters > MOST_BYTES:
        raise UsageError(
            f"{model.parameters / 1e9:.1f} billion parameters are more than an ONNX file can hold",
            "Export it as safetensors, pt2 or diffusers.",
        )
    spec = pipeline_spec(model)
    with suppress_exporter_output():
        graph = build_denoiser_graph(
            model.denoiser, model.shape, conditional=bool(model.classes), opset=form.opset
        )
        made = strip_exporter_metadata(PRECISIONS[form.precision](graph))
        if form.part == "pipeline":
            asks = spec.adds_noise
            noise = (
                strip_exporter_metadata(build_step_noise_graph(model.shape, opset=form.opset))
                if asks
                else None
            )
            made = pipeline(made, noise, spec)
    made.producer_name, made.producer_version = "iddm", __version__
    made.graph.name = model.run
    helper.set_model_props(made, build_metadata(model, form))
    return made


def build_metadata(model: TrainedModel, form: OnnxOptions) -> dict[str, str]:
    """Return what the file says of itself: everything that using it needs, as text."""
    sampling, diffusion = model.profile.sampling, model.profile.diffusion
    said: dict[str, object] = {
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "part": form.part,
        "precision": form.precision,
        "class_names": list(model.classes),
        "image": "uint8, [N, H, W, C]",
        "value_range": [-1, 1],
        "schedule": diffusion.schedule,
        "timesteps": diffusion.timesteps,
        "prediction": diffusion.prediction,
        "version": __version__,
    }
    if form.part == "pipeline":
        said |= {
            "sampler": sampling.sampler,
            "steps": len(pipeline_spec(model).table),
            "guidance": sampling.guidance,
            "eta": sampling.eta,
            "clip": sampling.clip,
        }
    plain = (str, int, float)
    texts = {k: str(v) if isinstance(v, plain) else json.dumps(v) for k, v in said.items()}
    return {f"iddm.{key}": text for key, text in texts.items()}
