"""The whole way from noise to pixels as one ONNX graph: a loop of the sampler's steps.

What is done at each step is `diffusion.solver_table.advance` over a guided, clipped denoiser,
written in ONNX's own text form around the denoiser's graph. Weights stand in the file once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from iddm_cli.diffusion.solver_table import SolverTable

GUIDED = """
    again = Slice(x, zero, extra)
    x_t = Concat<axis = 0>(x, again)
"""
"""The pictures once more, without their class; none (extra = 0) where guidance is 1."""

LEADING = """
    twice = Concat<axis = 0>(both, both)
    with_class = Slice(both, zero, batch)
    without = Slice(twice, batch, two_batches)
    difference = Sub(with_class, without)
    lead = Mul(guidance, difference)
    said = Add(without, lead)
"""
"""uncond + guidance * (cond - uncond), where each is the other if only one was asked for."""

ASKING = """
    time = Gather(times, k)
    count = Shape<start = 0, end = 1>(x_t)
    t = Expand(time, count)
    row = Gather(coefficients, k)
"""

SPLITTING = """
    batch = Shape<start = 0, end = 1>(noise)
    two_batches = Add(batch, batch)
    plain = Equal(guidance, one)
    halves = Where(plain, zero, a_unit)
    extra = Mul(batch, halves)
    none = Expand(no_label, extra)
    labels = Concat<axis = 0>(label, none)
"""

DEVELOPING = """
    held_in = Clip(x, minus_one, one)
    above = Add(held_in, one)
    levels = Mul(above, half_of_255)
    whole = Round(levels)
    pixels = Cast<to = 2>(whole)
    image = Transpose<perm = [0, 2, 3, 1]>(pixels)
"""


@dataclass(frozen=True)
class PipelineSpec:
    """How a pipeline draws.

    Attributes:
        table: The sampler's solver table.
        guidance: Guidance where none is given.
        clip: Whether each estimate is held inside the pixel range.
        num_classes: Number of classes, K; 0 for none.
        shape: Channels, height and width of a picture.
    """

    table: SolverTable
    guidance: float
    clip: bool
    num_classes: int
    shape: tuple[int, int, int]

    @property
    def adds_noise(self) -> bool:
        """Whether some step adds noise, so that a seed is asked for."""
        return bool(self.table.noisy_steps)


def pipeline(
    denoiser: onnx.ModelProto, step_noise: onnx.ModelProto | None, spec: PipelineSpec
) -> onnx.ModelProto:
    """Return the pipeline: noise and, with classes, label and guidance; to image.

    Args:
        denoiser: Its graph, as `denoiser_graph` makes it.
        step_noise: What draws the noise of steps, as `step_noise_graph` makes it; it adds the
            inputs index and seed.
        spec: Sampler, guidance and so on.
    """
    body = _body(denoiser, step_noise, spec)
    state = ["x", *_previous(spec)]
    loop = helper.make_node("Loop", ["steps", "", *["noise"] * len(state)], state, body=body)
    before = _nodes(SPLITTING) if spec.num_classes else []
    graph = helper.make_graph(
        [*before, loop, *_nodes(DEVELOPING)],
        "pipeline",
        _inputs(spec),
        [_value("image", "uint8", ["N", *spec.shape[1:], spec.shape[0]])],
        _constants(spec),
    )
    model = helper.make_model(
        graph, opset_imports=denoiser.opset_import, ir_version=denoiser.ir_version
    )
    model.functions.extend(denoiser.functions)
    return model


def _inputs(spec: PipelineSpec) -> list[onnx.ValueInfoProto]:
    inputs = [_value("noise", "float", ["N", *spec.shape])]
    if spec.num_classes:
        inputs += [_value("label", "int64", ["N"]), _value("guidance", "float", [])]
    if spec.adds_noise:
        inputs += [_value("index", "int64", ["N"]), _value("seed", "int64", [])]
    return inputs


def _constants(spec: PipelineSpec) -> list[onnx.TensorProto]:
    """Return the tables; those that are inputs as well are what holds where none is given."""
    constants: dict[str, np.ndarray] = {
        "steps": np.array(len(spec.table)),
        "times": np.array(spec.table.times),
        "coefficients": spec.table.compact()[1].numpy(),
        "on": np.array(True),
        "minus_one": np.array(-1, np.float32),
        "one": np.array(1, np.float32),
        "half_of_255": np.array(127.5, np.float32),
    }
    if spec.num_classes:
        constants |= {
            "guidance": np.array(spec.guidance, np.float32),
            "no_label": np.array([spec.num_classes]),
            "zero": np.array([0]),
            "a_unit": np.array([1]),
        }
    if spec.adds_noise:
        constants["seed"] = np.array(0)
    return [numpy_helper.from_array(array, name) for name, array in constants.items()]


def _body(
    denoiser: onnx.ModelProto, step_noise: onnx.ModelProto | None, spec: PipelineSpec
) -> onnx.GraphProto:
    """Return one step of the loop: its number, x and the earlier estimates; to all of them anew."""
    picture: list[int | str] = ["N", *spec.shape]
    conditional = bool(spec.num_classes)
    said = "both" if conditional else "said"
    asked = {"x_t": "x_t", "t": "t", "label": "labels", "estimate": said}
    previous = _previous(spec)
    text = [GUIDED if conditional else "x_t = Identity(x)", ASKING]
    after = [LEADING if conditional else "", _clipping(spec), _advancing(spec.table)]
    nodes = [*_nodes("".join(text)), *_inlined(denoiser, "network", asked)]
    # Inside the loop, where onnxruntime takes them for constants and lays them out for its speed.
    weights = _weights(denoiser)
    if step_noise is not None:
        nodes += _inlined(step_noise, "noise", {"step": "k", "noise": "drawn"})
        weights += _weights(step_noise)
        after.append("added = Mul(c_noise, drawn)\nnext = Add(clean, added)\n")
    else:
        after.append("next = Identity(clean)\n")
    return helper.make_graph(
        [*nodes, *_nodes("".join([*after, "go_on = Identity(on)\n"]))],
        "step",
        [_value("k", "int64", []), _value("going", "bool", []),
         *(_value(name, "float", picture) for name in ["x", *previous])],
        [_value("go_on", "bool", []),
         *(_value(name, "float", picture) for name in ["next", *_shifted(previous)])],
        weights,
    )  # fmt: skip


def _previous(spec: PipelineSpec) -> list[str]:
    """Return the names of the earlier estimates that the loop keeps, the newest first."""
    return [f"previous{j + 1}" for j in range(spec.table.history)]


def _shifted(previous: list[str]) -> list[str]:
    """Return the names of what these estimates are at the next step."""
    return ["estimate", *(f"still_{name}" for name in previous[:-1])][: len(previous)]


def _advancing(table: SolverTable) -> str:
    """Return the step itself, but for its noise: `advance` in ONNX's text form."""
    names = table.compact()[0]
    lines = [
        f"{', '.join(names)} = Split<axis = 0, num_outputs = {len(names)}>(row)",
        "from_x = Mul(c_x, x)",
        "from_estimate = Mul(c_denoised, estimate)",
        "sum0 = Add(from_x, from_estimate)",
    ]
    for j in range(1, table.history + 1):
        lines += [
            f"from_previous{j} = Mul(c_prev{j}, previous{j})",
            f"sum{j} = Add(sum{j - 1}, from_previous{j})",
        ]
    lines += [f"still_previous{j} = Identity(previous{j})" for j in range(1, table.history)]
    return "\n".join([*lines, f"clean = Identity(sum{table.history})", ""])


def _clipping(spec: PipelineSpec) -> str:
    clip, keep = "estimate = Clip(said, minus_one, one)", "estimate = Identity(said)"
    return f"{clip if spec.clip else keep}\n"


def _value(name: str, kind: str, shape: Iterable[int | str]) -> onnx.ValueInfoProto:
    kinds = {
        "float": onnx.TensorProto.FLOAT,
        "int64": onnx.TensorProto.INT64,
        "uint8": onnx.TensorProto.UINT8,
        "bool": onnx.TensorProto.BOOL,
    }
    return helper.make_tensor_value_info(name, kinds[kind], list(shape))


def _nodes(text: str) -> list[onnx.NodeProto]:
    """Read nodes in ONNX's text form, one a line."""
    return list(parser.parse_graph(f"nodes () => () {{ {text} }}").node)


def _weights(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [_named(tensor, _prefixed(model, tensor.name)) for tensor in model.graph.initializer]


def _named(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    tensor.name = name
    return tensor


def _prefixed(model: onnx.ModelProto, name: str) -> str:
    return f"{model.graph.name}/{name}" if name else ""


def _inlined(model: onnx.ModelProto, prefix: str, outside: dict[str, str]) -> list[onnx.NodeProto]:
    """Return a model's nodes for use inside another graph.

    Args:
        model: Its weights are to stand in the other graph, named as `_weights` names them.
        prefix: What sets its names apart.
        outside: What its inputs and outputs are called there, if not the same.
    """
    model.graph.name = prefix
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}

    def renamed(name: str) -> str:
        return outside.get(name, name) if name in ends else _prefixed(model, name)

    nodes = []
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = _prefixed(model, node.name)
        copy.input[:] = [renamed(name) for name in node.input]
        copy.output[:] = [renamed(name) for name in node.output]
        nodes.append(copy)
    return nodes
