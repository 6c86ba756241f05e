"""Exporting: the same pictures drawn by onnxruntime from an exported file, and by PyTorch.

Each sampler, guided and plain, one picture and eight, both with the same number of threads, in
turn. Beside the loop that exported files have, the same steps are timed unrolled: one copy of the
network's nodes for each step, over the same weights.

    python benchmarks/exporting.py [--rounds 5] [--threads 1] [--base-channels 64] [--json FILE]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.model_proto import build_onnx_model
from iddm_cli.export.onnx.options import OnnxOptions
from iddm_cli.export.trained_model import TrainedModel
from iddm_cli.profiles.profile import ResolvedProfile

SAMPLERS = {"ddim": 20, "dpmpp-2m": 20, "ddpm": 50}
SIZE, CLASSES = 32, 4
MOST_UNROLLED = 20
"""A hundred copies of a network take onnxruntime minutes to load."""


def make(sampler: str, base_channels: int) -> TrainedModel:
    """Return a model with random weights that say something."""
    profile = ResolvedProfile.model_validate(
        {
            "data": {"channels": 3, "image_size": SIZE},
            "model": {"base_channels": base_channels},
            "sampling": {"sampler": sampler, "steps": SAMPLERS[sampler]},
        }
    )
    denoiser = build_denoiser(profile, CLASSES).eval().requires_grad_(False)
    for parameter in denoiser.parameters():
        parameter.normal_(std=0.05)
    names = tuple(f"class-{label}" for label in range(CLASSES))
    return TrainedModel("benchmark", 0, "raw", profile, names, denoiser)


def unrolled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a pipeline with its loop unrolled; the weights stand in it once."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    place = list(model.graph.node).index(loop)
    body = loop.attribute[0].g
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    count = int(onnx.numpy_helper.to_array(tensors["steps"]))
    made.graph.initializer.extend(body.initializer)
    state, nodes = ["noise", "noise"], list(model.graph.node[:place])
    for k in range(count):
        number = onnx.numpy_helper.from_array(torch.tensor(k).numpy(), f"step_{k}")
        made.graph.initializer.append(number)
        names = dict(zip((v.name for v in body.input), (number.name, "on", *state), strict=True))
        inner = {name for node in body.node for name in node.output}
        names |= {name: f"{name}@{k}" for name in inner}
        for node in body.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{len(nodes)}"
            copy.input[:] = [names.get(name, name) for name in node.input]
            copy.output[:] = [names.get(name, name) for name in node.output]
            nodes.append(copy)
        state = [names[value.name] for value in body.output[1:]]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.node.append(onnx.helper.make_node("Identity", [state[0]], ["x"]))
    made.graph.node.extend(model.graph.node[place + 1 :])
    return made


def session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """Load a file into onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def ways(model: TrainedModel, specs: list[SampleSpec], guidance: float, threads: int) -> dict:
    """Return the ways to draw some pictures, each to be called."""
    made = build_onnx_model(model, OnnxOptions())
    sampling = model.profile.sampling.model_copy(update={"guidance": guidance})
    generator = ImageGenerator(model.denoiser, sampling, num_classes=CLASSES, shape=model.shape)
    found: dict[str, Callable[[], object]] = {"pytorch": lambda: generator.generate_batch(specs, 0)}
    graphs = {"loop": made}
    if len(generator.steps) <= MOST_UNROLLED:
        graphs["unrolled"] = unrolled(made)
    for name, graph in graphs.items():
        loaded = session(graph, threads)
        inputs = check.build_inputs(loaded, model, specs, seed=0, guidance=guidance)
        found[name] = lambda loaded=loaded, inputs=inputs: loaded.run(None, inputs)
    return found


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time of each, taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if number:  # the first one warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    """Measure all in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--base-channels", type=int, default=64)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| sampler | steps | guidance | pictures | onnxruntime, loop | unrolled | PyTorch = 1 |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for sampler, steps in SAMPLERS.items():
        model = make(sampler, options.base_channels)
        for guidance in (1.0, 3.0):
            for count in (1, 8):
                specs = [SampleSpec(index % CLASSES, index) for index in range(count)]
                calls = ways(model, specs, guidance, options.threads)
                took = measure(calls, options.rounds)
                one = took["pytorch"]
                flat = f"{took['unrolled'] / one:.2f}" if "unrolled" in took else "-"
                ratios = f"{took['loop'] / one:.2f} | {flat} | 1"
                print(f"| {sampler} | {steps} | {guidance} | {count} | {ratios} |", flush=True)
                rows.append({"sampler": sampler, "guidance": guidance, "count": count, **took})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
