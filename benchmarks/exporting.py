"""Exporting: time to generate images with onnxruntime from an exported file, and with PyTorch.

    python benchmarks/exporting.py [--rounds 5] [--threads 1] [--base-channels 64] [--json FILE]

Measures each sampler with and without guidance, for one image and for eight, alternating between
the two and with the same number of threads. Exported files contain the sampling loop; for
comparison, the same steps are also timed unrolled: one copy of the network's nodes per step, which
all share the weights.
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
MAX_UNROLLED_STEPS = 20
"""onnxruntime takes minutes to load a hundred copies of a network."""


def build_model(sampler: str, base_channels: int) -> TrainedModel:
    """Return a model with random weights, also in the layers that are initialized to zero."""
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


def unroll(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the pipeline with its loop unrolled and a single copy of the weights."""
    unrolled = onnx.ModelProto()
    unrolled.CopyFrom(model)
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    loop_index = list(model.graph.node).index(loop)
    body = loop.attribute[0].g
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    count = int(onnx.numpy_helper.to_array(tensors["steps"]))
    unrolled.graph.initializer.extend(body.initializer)
    state, nodes = ["noise"] * len(loop.output), list(model.graph.node[:loop_index])
    for k in range(count):
        step = onnx.numpy_helper.from_array(torch.tensor(k).numpy(), f"step_{k}")
        unrolled.graph.initializer.append(step)
        names = dict(zip((v.name for v in body.input), (step.name, "on", *state), strict=True))
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
    del unrolled.graph.node[:]
    unrolled.graph.node.extend(nodes)
    unrolled.graph.node.append(onnx.helper.make_node("Identity", [state[0]], ["x"]))
    unrolled.graph.node.extend(model.graph.node[loop_index + 1 :])
    return unrolled


def open_session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """Load a model into onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def build_calls(
    model: TrainedModel, specs: list[SampleSpec], guidance: float, threads: int
) -> dict:
    """Return a call per runtime that generates the same images."""
    exported = build_onnx_model(model, OnnxOptions())
    sampling = model.profile.sampling.model_copy(update={"guidance": guidance})
    generator = ImageGenerator(model.denoiser, sampling, num_classes=CLASSES, shape=model.shape)
    calls: dict[str, Callable[[], object]] = {"pytorch": lambda: generator.generate_batch(specs, 0)}
    graphs = {"loop": exported}
    if len(generator.solver_table) <= MAX_UNROLLED_STEPS:
        graphs["unrolled"] = unroll(exported)
    for name, graph in graphs.items():
        session = open_session(graph, threads)
        inputs = check.build_inputs(session, model, specs, seed=0, guidance=guidance)
        calls[name] = lambda session=session, inputs=inputs: session.run(None, inputs)
    return calls


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call, alternating between them."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    """Measure every case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--base-channels", type=int, default=64)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| sampler | steps | guidance | images | onnxruntime, loop | unrolled | PyTorch = 1 |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for sampler, steps in SAMPLERS.items():
        model = build_model(sampler, options.base_channels)
        for guidance in (1.0, 3.0):
            for count in (1, 8):
                specs = [SampleSpec(index % CLASSES, index) for index in range(count)]
                calls = build_calls(model, specs, guidance, options.threads)
                medians = measure(calls, options.rounds)
                pytorch = medians["pytorch"]
                unrolled = f"{medians['unrolled'] / pytorch:.2f}" if "unrolled" in medians else "-"
                ratios = f"{medians['loop'] / pytorch:.2f} | {unrolled} | 1"
                print(f"| {sampler} | {steps} | {guidance} | {count} | {ratios} |", flush=True)
                rows.append({"sampler": sampler, "guidance": guidance, "count": count, **medians})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
