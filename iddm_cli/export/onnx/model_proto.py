"""A trained model as one ONNX file: the whole pipeline to pixels, or the denoiser alone."""

import json

import onnx
from onnx import helper

from iddm_cli import __version__
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.guidance import find_guided_steps
from iddm_cli.engine.memory import FLOAT_BYTES
from iddm_cli.engine.sampling.solver_choice import build_solver_table
from iddm_cli.errors import UsageError
from iddm_cli.export.exporter_output import suppress_exporter_output
from iddm_cli.export.onnx.condition_nodes import build_condition_graph
from iddm_cli.export.onnx.estimate_nodes import EstimateSpec
from iddm_cli.export.onnx.graphs import (
    build_decoder_graph,
    build_denoiser_graph,
    build_step_noise_graph,
    strip_exporter_metadata,
)
from iddm_cli.export.onnx.options import OnnxOptions
from iddm_cli.export.onnx.pipeline import (
    PipelineGraphs,
    PipelineSpec,
    build_decoding,
    build_pipeline,
)
from iddm_cli.export.onnx.precision import PRECISIONS
from iddm_cli.export.trained_model import TrainedModel

MAX_BYTES = 2**31 - 2**20
"""Most bytes of weights: an ONNX file is one protobuf message of up to 2 GiB; 1 MiB is for the
graph."""


def pipeline_spec(model: TrainedModel) -> PipelineSpec:
    """Return the pipeline that a model's profile describes."""
    sampling = model.profile.sampling
    schedule = model.denoiser.schedule
    table = build_solver_table(sampling, schedule, tables=model.tables)
    return PipelineSpec(
        table=table,
        estimate=EstimateSpec(
            num_classes=len(model.classes),
            guided_steps=tuple(
                find_guided_steps(schedule, table.times, sampling.guidance_interval)
            ),
            guidance=sampling.guidance,
            has_weaker=model.weaker is not None,
            rescale=sampling.guidance_rescale,
            threshold=sampling.threshold,
            clip=sampling.clip,
            has_condition=model.low_shape is not None or model.whole_size is not None,
        ),
        shape=model.diffused_shape,
        image_shape=model.shape,
        values=model.values,
        low_shape=model.low_shape,
        whole=model.whole_size,
    )


def build_onnx_model(model: TrainedModel, options: OnnxOptions) -> onnx.ModelProto:
    """Return the ONNX file of a model.

    Raises:
        UsageError: It is larger than an ONNX file can be, has no such part, or the part has no
            place for the weaker network.
    """
    if FLOAT_BYTES * model.parameters > MAX_BYTES:
        raise UsageError(
            f"{model.parameters / 1e9:.1f} billion parameters are more than an ONNX file can hold",
            "Export it as safetensors, pt2 or diffusers.",
        )
    if options.part != "pipeline" and model.weaker is not None:
        raise UsageError(
            f"--guide-with: --part {options.part} leaves out guidance", "Leave out one of them."
        )
    if options.part == "decoder" and model.decoder is None:
        raise UsageError(
            f"--part decoder: {model.run} was trained on pixels, so it has no decoder",
            "Leave --part out, or choose --part denoiser.",
        )
    with suppress_exporter_output():
        proto = _build_part(model, options)
    proto.producer_name, proto.producer_version = "iddm", __version__
    proto.graph.name = model.run
    helper.set_model_props(proto, build_metadata(model, options))
    return proto


def _build_part(model: TrainedModel, options: OnnxOptions) -> onnx.ModelProto:
    """Return the graph of a part, without metadata."""
    decoder = noise = weaker = condition = None
    if model.decoder is not None and options.part != "denoiser":
        graph = build_decoder_graph(model.decoder, model.diffused_shape, opset=options.opset)
        decoder = strip_exporter_metadata(graph)
        if options.part == "decoder":
            return build_decoding(decoder, model.diffused_shape, model.shape, model.values)
    denoiser = _trace_denoiser(model, model.denoiser, options)
    if options.part == "denoiser":
        return denoiser
    spec = pipeline_spec(model)
    if model.weaker is not None:
        weaker = _trace_denoiser(model, model.weaker, options)
    if spec.adds_noise:
        noise_graph = build_step_noise_graph(model.diffused_shape, opset=options.opset)
        noise = strip_exporter_metadata(noise_graph)
    if model.low_shape is not None:
        factor = model.profile.model.upscale_factor
        graph = build_condition_graph(factor, model.low_shape, opset=options.opset)
        condition = strip_exporter_metadata(graph)
    return build_pipeline(PipelineGraphs(denoiser, weaker, noise, decoder, condition), spec)


def _trace_denoiser(
    model: TrainedModel, denoiser: Denoiser, options: OnnxOptions
) -> onnx.ModelProto:
    graph = build_denoiser_graph(
        denoiser, model.input_shape, conditional=bool(model.classes), opset=options.opset
    )
    return strip_exporter_metadata(PRECISIONS[options.precision](graph))


def _describe_x(model: TrainedModel) -> dict[str, object]:
    """Return what x is: an image in [-1, 1], or a latent and its scale."""
    if model.low_shape is not None:
        factor = model.profile.model.upscale_factor
        return {"value_range": [-1, 1], "upscale_factor": factor}
    if model.whole_size is not None:
        return {"value_range": [-1, 1], "whole_size": list(model.whole_size)}
    if model.latents is None:
        return {"value_range": [-1, 1]}
    return {"latent_shape": model.diffused_shape, "latent_scale": model.latents.scale.to_json()}


def build_metadata(model: TrainedModel, options: OnnxOptions) -> dict[str, str]:
    """Return the metadata of the file, as texts: everything needed to use it."""
    sampling, diffusion = model.profile.sampling, model.profile.diffusion
    values: dict[str, object] = {
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "part": options.part,
        "precision": options.precision,
        "class_names": list(model.classes),
        "image": f"{model.values.dtype}, [N, H, W, C]",
        "values": model.values.to_json(),
        **_describe_x(model),
        "schedule": diffusion.schedule,
        "timesteps": diffusion.timesteps,
        "prediction": diffusion.prediction,
        "version": __version__,
    }
    if options.part == "pipeline":
        values |= {
            "sampler": sampling.sampler,
            "steps": len(pipeline_spec(model).table),
            "time_grid": sampling.grid,
            "order": sampling.sampler_options.get("order"),
            "guidance": sampling.guidance,
            "guidance_interval": sampling.guidance_interval,
            "eta": sampling.eta,
            "clip": sampling.clip,
            "guidance_rescale": sampling.guidance_rescale,
            "threshold": sampling.threshold,
            "guide_with": model.guide_with,
        }
    plain = (str, int, float)
    texts = {k: str(v) if isinstance(v, plain) else json.dumps(v) for k, v in values.items()}
    return {f"iddm.{key}": text for key, text in texts.items()}
