"""Generating many images: `iddm generate` beside its bare network, and two processes beside one.

    python benchmarks/generating.py RUN [--images 2000] [--rounds 3] [--json FILE]

RUN is the folder of a trained run. Each process has one thread and one processor core, so that
whatever it does besides computing, such as encoding and writing, takes time from the network.

    network          the calls of the network alone: as many, of the same batches, in the same
                     precision as `iddm generate` makes them, on random numbers
    iddm generate    the whole command, into a folder of PNG files, tar shards and Parquet

Start-up is taken off: each command runs for one batch per process and for --images, and the speed
is that of the images in between. The network is measured before and after, in a process that waits
meanwhile, and the ratios are those of one round. For two processes the images in between are those
of the busiest one: with shards, the short command has one shard, of one process.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import reporting

FORMS = {"png": "folder of PNG files", "tar": "tar shards", "parquet": "Parquet"}
BATCH = 50
"""Shards of 1,000 images have 20 such batches."""

SHARD = 1000
NETWORK_BATCHES = 6


def build_calls(options: argparse.Namespace) -> Any:
    """Return a function that makes the network's calls of one batch, and nothing else."""
    import torch

    from iddm_cli.distributed.group import SINGLE_PROCESS
    from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
    from iddm_cli.engine.reduced_precision.autocast_backbone import lower_precision
    from iddm_cli.workflows import models
    from iddm_cli.workflows.generating.generate_options import GenerateOptions
    from iddm_cli.workflows.generating.generation import prepare_generation
    from iddm_cli.workflows.generating.image_shares import Shard

    torch.set_num_threads(1)
    asked = GenerateOptions(str(options.run), sampling=list_sampling(options), out=Path("unused"))
    model = models.find_model(None, asked.model)
    profile = models.load_sampling_profile(model, dict(asked.sampling))
    prepared = prepare_generation(asked, profile, Shard(), SINGLE_PROCESS, torch.device("cpu"))
    generator = prepared.generator
    assert isinstance(generator, ImageGenerator), "nothing is upscaled"
    backbone = lower_precision(generator.denoiser.eval(), generator.precision).backbone
    inputs: list[tuple[torch.Tensor, ...]] = []
    hook = generator.denoiser.backbone.register_forward_pre_hook(
        lambda _network, given: inputs.append(tuple(one.clone() for one in given))
    )
    specs = [SampleSpec(0, i) for i in range(BATCH)]
    generator.with_precision("fp32").generate_batch(specs, seed=0)  # in whole batches
    hook.remove()

    @torch.inference_mode()
    def call() -> None:
        for given in inputs:
            backbone(*given)

    return call


def list_sampling(options: argparse.Namespace) -> dict[str, object]:
    """Return the sampling options, as `iddm generate` passes them on."""
    from iddm_cli.commands.options import collect_sampling_options

    return {
        **collect_sampling_options(None, options.steps, None, None, None),
        "--batch-size sampling.batch_size": BATCH,
        "--precision sampling.precision": options.precision,
        "--device runtime.device": "cpu",
    }


def answer(options: argparse.Namespace) -> None:
    """Print the images per second of the network, once for each line that is read."""
    call = build_calls(options)
    call()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(NETWORK_BATCHES):
            call()
        print(NETWORK_BATCHES * BATCH / (time.perf_counter() - started), flush=True)


class BareNetworks:
    """Processes with the bare network, each on a core of its own.

    Args:
        options: The options.
        cores: The cores.
    """

    def __init__(self, options: argparse.Namespace, cores: list[int]) -> None:
        words = [sys.executable, __file__, str(options.run), "--precision", options.precision]
        words += [] if options.steps is None else ["--steps", str(options.steps)]
        self._processes = [
            subprocess.Popen(
                [*words, "--answer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=make_environment(),
                preexec_fn=pin([core]),
            )
            for core in cores
        ]
        for process in self._processes:
            assert process.stdout is not None
            while process.stdout.readline().strip() != "ready":
                if process.poll() is not None:
                    raise SystemExit("the network could not be loaded")

    def measure(self, count: int) -> float:
        """Return the images per second of some of the processes together."""
        for process in self._processes[:count]:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return sum(
            float(process.stdout.readline()) for process in self._processes[:count]
            if process.stdout is not None
        )  # fmt: skip

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.communicate("")


def pin(cores: list[int]) -> Any:
    """Return what binds a new process to some cores."""
    return lambda: os.sched_setaffinity(0, cores)


def make_environment() -> dict[str, str]:
    """Return the environment of a process with one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def time_command(
    options: argparse.Namespace, form: str, cores: list[int], count: int, scratch: Path
) -> float:
    """Return the seconds of `iddm generate`, for so many images of one class."""
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable, "-m", "iddm_cli", "generate", str(options.run), "--class", "0",
        "--count", str(count), "--batch-size", str(BATCH), "--device", "cpu", "--devices",
        str(len(cores)), "--precision", options.precision, "--out", str(out),
    ]  # fmt: skip
    command += [] if form == "png" else ["--to", form]
    command += [] if options.steps is None else ["--steps", str(options.steps)]
    started = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        env=make_environment(),
        capture_output=True,
        preexec_fn=pin(cores),
    )
    return time.perf_counter() - started


def measure_speed(options: argparse.Namespace, form: str, cores: list[int], scratch: Path) -> float:
    """Return the images per second of `iddm generate` without its start-up."""
    short = BATCH * len(cores)
    busiest = short if form != "png" else BATCH
    seconds = [
        time_command(options, form, cores, count, scratch) for count in (short, options.images)
    ]
    between = options.images / len(cores) - busiest
    return len(cores) * between / (seconds[1] - seconds[0])


def measure_round(
    options: argparse.Namespace, cores: list[int], bare: BareNetworks, scratch: Path
) -> list[dict]:
    """Measure the network and every form once, with one process and with two."""
    rows = []
    before = bare.measure(1)
    for form in options.forms:
        one = measure_speed(options, form, cores[:1], scratch)
        after = bare.measure(1)
        two = measure_speed(options, form, cores, scratch)
        both = bare.measure(2)
        row = {"form": form, "network": (before + after) / 2, "one": one, "two": two}
        rows.append({**row, "two_networks": both, "network_again": bare.measure(1)})
        before = rows[-1]["network_again"]
        print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def tabulate(rows: list[dict]) -> str:
    """Return the medians of the ratios as a Markdown table."""
    lines = [
        "| | speed / the network's | two processes / one |",
        "|---|---|---|",
    ]
    for form, name in FORMS.items():
        own = [row for row in rows if row["form"] == form]
        if own:
            share = statistics.median(row["one"] / row["network"] for row in own)
            gain = statistics.median(row["two"] / row["one"] for row in own)
            lines.append(f"| `iddm generate`, {name} | {share:.3f} | {gain:.2f} |")
    gain = statistics.median(
        2 * row["two_networks"] / (row["network"] + row["network_again"]) for row in rows
    )
    return "\n".join([*lines, f"| the network alone | 1 | {gain:.2f} |"])


def main() -> None:
    """Measure all forms, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, nargs="?", help="folder of a trained run")
    parser.add_argument("--images", type=int, default=2 * SHARD, help="a multiple of 2,000")
    parser.add_argument("--steps", type=int, help="steps of the sampler; default: the run's")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    reporting.add_options(parser)
    options = parser.parse_args()
    if reporting.print_earlier_table(options, tabulate):
        return
    if options.run is None:
        parser.error("name the folder of a trained run")
    options.run = options.run.resolve()
    if options.answer:
        answer(options)
        return
    if options.images % (2 * SHARD):
        parser.error("--images must be a multiple of 2,000: whole shards for each of two processes")
    cores = sorted(os.sched_getaffinity(0))[:2]
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        bare = BareNetworks(options, cores)
        try:
            for _ in range(options.rounds):
                rows += measure_round(options, cores, bare, scratch)
        finally:
            bare.close()
    reporting.report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
