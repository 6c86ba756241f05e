"""The whole pipeline from noise to pixels as one ONNX graph: a loop over the sampler's steps.

Each step is `diffusion.solver_table.advance` with a guided, clipped denoiser, written in ONNX's
text format around the denoiser's graph. The file contains the weights once.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.export.onnx.condition_nodes import (
    LOCATE,
    TO_UNITS,
    list_condition_constants,
    list_place_constants,
)
from iddm_cli.export.onnx.estimate_nodes import SPLIT_BATCH, EstimateSpec
from iddm_cli.export.onnx.pixel_nodes import convert_to_pixels, list_pixel_constants
from iddm_cli.value_range import EIGHT_BIT, ValueRange

LOOK_UP_STEP = """
    time = Gather(times, k)
    count = Shape<start = 0, end = 1>(x_t)
    t = Expand(time, count)
    row = Gather(coefficients, k)
"""

KEEP_TENSOR = """
    keeps_now = Gather(keeps, k)
    k_x, k_denoised = Split<axis = 0, num_outputs = 2>(keeps_now)
    part_x = Mul(k_x, x)
    part_denoised = Mul(k_denoised, estimate)
    kept = Add(part_x, part_denoised)
"""
"""`SolverTable.keep`, for samplers that keep something else than their estimates."""


@dataclass(frozen=True)
class PipelineGraphs:
    """The traced graphs that a pipeline is made of.

    Attributes:
        denoiser: That of `build_denoiser_graph`.
        weaker: The same of the weaker network; None: guidance is classifier-free.
        step_noise: That of `build_step_noise_graph`, which adds the inputs index and seed; None if
            no step adds noise.
        decoder: That of `build_decoder_graph`; None: the denoiser samples pixels.
        condition: That of `build_condition_graph`; None: the denoiser reads no smaller images.
    """

    denoiser: onnx.ModelProto
    weaker: onnx.ModelProto | None = None
    step_noise: onnx.ModelProto | None = None
    decoder: onnx.ModelProto | None = None
    condition: onnx.ModelProto | None = None

    def list_all(self) -> list[onnx.ModelProto]:
        """Return those that there are."""
        graphs = (self.denoiser, self.weaker, self.step_noise, self.decoder, self.condition)
        return [graph for graph in graphs if graph is not None]


@dataclass(frozen=True)
class PipelineSpec:
    """How a pipeline samples.

    Attributes:
        table: The sampler's solver table.
        estimate: How a step makes its estimate.
        shape: Channels, height and width of what is sampled: an image, or its latent.
        image_shape: Those of an image.
        values: The range of values that the images have.
        low_shape: Channels, height and width of the smaller images that are upscaled; None: the
            denoiser reads none.
        whole: Height and width of the images that the sampled ones are crops of; None: the denoiser
            knows no positions.
    """

    table: SolverTable
    estimate: EstimateSpec
    shape: tuple[int, int, int]
    image_shape: tuple[int, int, int]
    values: ValueRange = EIGHT_BIT
    low_shape: tuple[int, int, int] | None = None
    whole: tuple[int, int] | None = None

    @property
    def adds_noise(self) -> bool:
        """Whether some step adds noise, so that the pipeline needs a seed."""
        return bool(self.table.noisy_steps)


def build_pipeline(graphs: PipelineGraphs, spec: PipelineSpec) -> onnx.ModelProto:
    """Return the pipeline: noise and, with classes, label and guidance -> image."""
    decoder, condition = graphs.decoder, graphs.condition
    body = _build_body(graphs, spec)
    state = ["x" if decoder is None else "latents", *_list_previous(spec.table)]
    loop = helper.make_node("Loop", ["steps", "", *["noise"] * len(state)], state, body=body)
    before = _parse_nodes(SPLIT_BATCH) if spec.estimate.repeats_images else []
    after = [] if decoder is None else _inline_decoder(decoder)
    if condition is not None:
        outer = {"low_noise": "low_noise_of_all"}
        before += [*_parse_nodes(TO_UNITS), *_inline(condition, "condition", outer)]
    if spec.whole is not None:
        before += _parse_nodes(LOCATE)
    graph = helper.make_graph(
        [*before, loop, *after, *_parse_nodes(convert_to_pixels(spec.values))],
        "pipeline",
        _build_inputs(spec),
        [_declare_image("image", spec.image_shape, spec.values)],
        [
            *_build_constants(spec),
            *(weight for each in (decoder, condition) if each for weight in _take_weights(each)),
        ],
    )
    return _build_model(graph, graphs.list_all())


def build_decoding(
    decoder: onnx.ModelProto,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int, int],
    values: ValueRange,
) -> onnx.ModelProto:
    """Return the end of a pipeline alone: latents -> image.

    Args:
        decoder: The graph of `build_decoder_graph`.
        shape: Channels, height and width of a latent.
        image_shape: Those of an image.
        values: The range of values that the images have.
    """
    nodes = [*_inline_decoder(decoder), *_parse_nodes(convert_to_pixels(values))]
    constants = _to_initializers(list_pixel_constants(values))
    graph = helper.make_graph(
        nodes,
        "decoding",
        [_declare("latents", "float", ["N", *shape])],
        [_declare_image("image", image_shape, values)],
        constants + _take_weights(decoder),
    )
    return _build_model(graph, [decoder])


def _build_model(graph: onnx.GraphProto, traced: list[onnx.ModelProto]) -> onnx.ModelProto:
    """Return a graph as a model, with the functions of the traced models that it is made of."""
    first = traced[0]
    model = helper.make_model(graph, opset_imports=first.opset_import, ir_version=first.ir_version)
    functions = {(f.domain, f.name, f.overload): f for each in traced for f in each.functions}
    model.functions.extend(functions.values())
    return model


def _inline_decoder(decoder: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes that turn latents into x, in [-1, 1]."""
    return _inline(decoder, "decoder", {"latents": "latents", "decoded": "x"})


def _build_inputs(spec: PipelineSpec) -> list[onnx.ValueInfoProto]:
    inputs = [_declare("noise", "float", ["N", *spec.shape])]
    if spec.low_shape is not None:
        inputs.append(_declare_image("low_resolution", spec.low_shape, spec.values))
    inputs += [_declare("label", "int64", ["N"])] if spec.estimate.num_classes else []
    inputs += [_declare("guidance", "float", [])] if spec.estimate.is_guided else []
    if spec.adds_noise:
        inputs += [_declare("index", "int64", ["N"]), _declare("seed", "int64", [])]
    if spec.low_shape is not None:
        inputs.append(_declare("noise_level", "float", []))
        inputs.append(_declare("low_noise", "float", ["noise_N", "noise_C", "noise_h", "noise_w"]))
    inputs += [_declare("corner", "float", ["corner_N", 2])] if spec.whole is not None else []
    return inputs


def _build_constants(spec: PipelineSpec) -> list[onnx.TensorProto]:
    """Return the tables; those with the name of an input are its default value."""
    constants: dict[str, np.ndarray] = {
        "steps": np.array(len(spec.table)),
        "times": np.array(spec.table.times),
        "coefficients": spec.table.compact()[1].numpy(),
        **({} if spec.table.keeps is None else {"keeps": spec.table.keeps.numpy()}),
        "on": np.array(True),
        **list_pixel_constants(spec.values),
    }
    constants |= spec.estimate.list_constants(math.prod(spec.shape))
    if spec.low_shape is not None:
        constants |= list_condition_constants(spec.values)
    if spec.whole is not None:
        constants |= list_place_constants(spec.whole, (spec.shape[1], spec.shape[2]))
    if spec.adds_noise:
        constants["seed"] = np.array(0)
    return _to_initializers(constants)


def _to_initializers(constants: dict[str, np.ndarray]) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(array, name) for name, array in constants.items()]


def _build_body(graphs: PipelineGraphs, spec: PipelineSpec) -> onnx.GraphProto:
    """Return one step of the loop: its number, x and earlier estimates -> all updated."""
    image: list[int | str] = ["N", *spec.shape]
    estimate, step_noise = spec.estimate, graphs.step_noise
    names = {"x_t": "x_t", "t": "t", "label": "labels_now", "estimate": estimate.output}
    previous = _list_previous(spec.table)
    after = [estimate.finish_estimate(), _advancing(spec.table)]
    nodes = [
        *_parse_nodes(estimate.prepare_inputs() + LOOK_UP_STEP),
        *_inline(graphs.denoiser, "network", names),
        *_parse_nodes(estimate.select_reference()),
    ]
    if graphs.weaker is not None:
        nodes.append(_ask_weaker(graphs.weaker, names, image))
    # Weights inside the loop: onnxruntime treats them as constants and optimizes their layout.
    weights = _take_weights(graphs.denoiser)
    if step_noise is not None:
        nodes += _inline(step_noise, "noise", {"step": "k", "noise": "fresh_noise"})
        weights += _take_weights(step_noise)
        after.append(
            "term_noise = Mul(c_noise, fresh_noise)\nnext = Add(deterministic, term_noise)\n"
        )
    else:
        after.append("next = Identity(deterministic)\n")
    return helper.make_graph(
        [*nodes, *_parse_nodes("".join([*after, "keep_going = Identity(on)\n"]))],
        "step",
        [_declare("k", "int64", []), _declare("condition", "bool", []),
         *(_declare(name, "float", image) for name in ["x", *previous])],
        [_declare("keep_going", "bool", []),
         *(_declare(name, "float", image) for name in ["next", *_shift(spec.table)])],
        weights,
    )  # fmt: skip


def _ask_weaker(
    weaker: onnx.ModelProto, names: dict[str, str], image: list[int | str]
) -> onnx.NodeProto:
    """Return the node that evaluates the weaker network where the step is guided."""
    output = "weaker_estimate"
    nodes = _inline(weaker, "weaker", names | {"estimate": output})
    value = _declare(output, "float", image)
    ask = helper.make_graph(nodes, "ask_weaker", [], [value], _take_weights(weaker))
    value = _declare("same_estimate", "float", image)
    keep = helper.make_graph(_parse_nodes("same_estimate = Identity(plain)"), "keep", [], [value])
    return helper.make_node("If", ["asks_weaker"], ["reference"], then_branch=ask, else_branch=keep)


def _list_previous(table: SolverTable) -> list[str]:
    """Return the names of the tensors that the loop keeps, the newest first."""
    return [f"previous{j + 1}" for j in range(table.history)]


def _shift(table: SolverTable) -> list[str]:
    """Return the names of what these tensors are at the next step."""
    previous = _list_previous(table)
    newest = "estimate" if table.keeps is None else "kept"
    return [newest, *(f"kept_{name}" for name in previous[:-1])][: len(previous)]


def _advancing(table: SolverTable) -> str:
    """Return `advance` in ONNX's text format: a step without its noise."""
    names = table.compact()[0]
    lines = [
        f"{', '.join(names)} = Split<axis = 0, num_outputs = {len(names)}>(row)",
        "term_x = Mul(c_x, x)",
        "term_denoised = Mul(c_denoised, estimate)",
        "sum0 = Add(term_x, term_denoised)",
    ]
    for j in range(1, table.history + 1):
        lines += [
            f"term_prev{j} = Mul(c_prev{j}, previous{j})",
            f"sum{j} = Add(sum{j - 1}, term_prev{j})",
        ]
    lines += [f"kept_previous{j} = Identity(previous{j})" for j in range(1, table.history)]
    lines += [] if table.keeps is None else KEEP_TENSOR.split("\n")
    return "\n".join([*lines, f"deterministic = Identity(sum{table.history})", ""])


def _declare_image(
    name: str, shape: tuple[int, int, int], values: ValueRange
) -> onnx.ValueInfoProto:
    return _declare(name, values.dtype, ["N", *shape[1:], shape[0]])


def _declare(name: str, element_type: str, shape: Iterable[int | str]) -> onnx.ValueInfoProto:
    dtype = np.dtype("float32" if element_type == "float" else element_type)
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, list(shape))


def _parse_nodes(text: str) -> list[onnx.NodeProto]:
    """Parse nodes in ONNX's text format, one per line."""
    return list(parser.parse_graph(f"nodes () => () {{ {text} }}").node)


def _take_weights(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Return a model's weights under the names that `_inline` uses; renames them in place."""
    weights = list(model.graph.initializer)
    for tensor in weights:
        tensor.name = _prefix(model, tensor.name)
    return weights


def _prefix(model: onnx.ModelProto, name: str) -> str:
    return f"{model.graph.name}/{name}" if name else ""


def _inline(model: onnx.ModelProto, prefix: str, outer: dict[str, str]) -> list[onnx.NodeProto]:
    """Return a model's nodes for use inside another graph.

    Args:
        model: The model; the outer graph must contain its weights, see `_take_weights`.
        prefix: Prefix of all its inner names.
        outer: Names of its inputs and outputs in the outer graph, where they differ.
    """
    model.graph.name = prefix
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}

    def rename(name: str) -> str:
        return outer.get(name, name) if name in ends else _prefix(model, name)

    nodes = []
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = _prefix(model, node.name)
        copy.input[:] = [rename(name) for name in node.input]
        copy.output[:] = [rename(name) for name in node.output]
        nodes.append(copy)
    return nodes
