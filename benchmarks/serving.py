"""Serving: images per second and latency for 1, 8 and 32 clients, compared with two simple servers.

    python benchmarks/serving.py [--profile demo] [--seconds 15] [--steps 20] [--threads 1]

Three servers of the same network, each in its own process:

    iddm        `iddm serve`: continuous batching; requests join the batch between steps
    one-by-one  the same network behind FastAPI, one request at a time
    diffusers   a plain FastAPI server with UNet2DModel and DDIMScheduler, one request at a time

`--threads` sets the number of threads of the two simple servers: for single images of a small
network, one thread is often faster than all. Each client requests one image after the other,
without guidance, as the diffusers pipeline for such models generates. Read only the ratios:
absolute times depend on the machine.
"""

import argparse
import asyncio
import base64
import io
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SUBJECTS = ("iddm", "one-by-one", "diffusers")
CLIENTS = (1, 8, 32)
CLASSES = ("crazing", "inclusion", "patches", "pitted-surface", "rolled-in-scale", "scratches")


def load_untrained(name: str) -> tuple[Any, Any]:
    """Return a profile and its untrained denoiser; the time does not depend on the weights."""
    from iddm_cli.build.networks import build_denoiser
    from iddm_cli.profiles.loading import load_profile

    profile = load_profile(name, [])
    profile = profile.resolve(3 if profile.data.channels == "auto" else profile.data.channels)
    return profile, build_denoiser(profile, len(CLASSES)).eval().requires_grad_(False)


def serve_iddm(name: str, report_port: Callable[[int], None]) -> None:
    """Run the server of `iddm serve`."""
    import torch

    from iddm_cli.engine.reduced_precision.batch_invariant import CPU_BLOCKS, BatchInvariantDenoiser
    from iddm_cli.serving.http.security import AccessPolicy
    from iddm_cli.serving.http.server import ImageServer, run_server
    from iddm_cli.serving.http.service import GenerationService
    from iddm_cli.serving.http.sockets import open_listener
    from iddm_cli.serving.scheduling.limits import Limits
    from iddm_cli.serving.scheduling.served_model import ServedModel

    profile, denoiser = load_untrained(name)
    shape = profile.data.shape
    exact = BatchInvariantDenoiser(
        denoiser, shape, blocks=CPU_BLOCKS, num_threads=torch.get_num_threads()
    )
    model = ServedModel(name, name, 0, CLASSES, shape, profile.sampling, denoiser, exact)
    listener = open_listener("127.0.0.1", 0)
    service = GenerationService({name: model}, Limits(), print)
    run_server(
        ImageServer(service, AccessPolicy(), lambda: report_port(listener.getsockname()[1])),
        listener,
    )


def serve_one_by_one(name: str, report_port: Callable[[int], None]) -> None:
    """Run a server that generates one request at a time with the same network."""
    from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_image

    profile, denoiser = load_untrained(name)

    def generate(label: int, seed: int, steps: int) -> Any:
        sampling = profile.sampling.model_copy(update={"steps": steps, "guidance": 1.0})
        shape = profile.data.shape
        generator = ImageGenerator(denoiser, sampling, num_classes=len(CLASSES), shape=shape)
        return to_image(generator.generate_batch([SampleSpec(label, 0)], seed)[0])

    serve_sequentially(generate, report_port)


def serve_diffusers(name: str, report_port: Callable[[int], None]) -> None:
    """Run a server with diffusers' classes for the same network and sampler."""
    import numpy
    import torch
    from diffusers import DDIMScheduler, UNet2DModel
    from PIL import Image

    profile, _ = load_untrained(name)
    model = profile.model
    channels, height, width = profile.data.shape
    widths = [model.base_channels * m for m in model.channel_multipliers]
    folded = channels * model.patch_size**2
    down = [
        "AttnDownBlock2D" if k in model.attention_levels else "DownBlock2D"
        for k in range(len(widths))
    ]
    unet = UNet2DModel(
        sample_size=(height // model.patch_size, width // model.patch_size),
        in_channels=folded,
        out_channels=folded,
        block_out_channels=widths,
        layers_per_block=model.blocks_per_level,
        down_block_types=down,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(down)],
        attention_head_dim=model.head_channels,
        norm_num_groups=model.norm_groups,
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=len(CLASSES) + 1,
    ).eval()

    @torch.inference_mode()
    def generate(label: int, seed: int, steps: int) -> Any:
        scheduler = DDIMScheduler(1000)
        scheduler.set_timesteps(steps)
        noise = torch.Generator().manual_seed(seed)
        x = torch.randn(1, folded, *unet.config.sample_size, generator=noise)
        for t in scheduler.timesteps:
            prediction = unet(x, t, class_labels=torch.tensor([label])).sample
            x = scheduler.step(prediction, t, x).prev_sample
        x = torch.pixel_shuffle(x, model.patch_size)
        pixels = ((x[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return Image.fromarray(numpy.squeeze(pixels))

    serve_sequentially(generate, report_port)


def serve_sequentially(
    generate: Callable[[int, int, int], Any], report_port: Callable[[int], None]
) -> None:
    """Run a minimal FastAPI server: one request after the other, all in one thread."""
    import uvicorn
    from fastapi import Body, FastAPI

    from iddm_cli.serving.http.sockets import open_listener

    app, executor = FastAPI(), ThreadPoolExecutor(1)

    @app.post("/v1/images")
    async def images(request: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008 (FastAPI)
        arguments = (request["class"], request["seed"], request["steps"])
        image = await asyncio.get_running_loop().run_in_executor(executor, generate, *arguments)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return {"images": [{"image": base64.b64encode(buffer.getvalue()).decode()}]}

    listener = open_listener("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    threading.Timer(1.0, report_port, [listener.getsockname()[1]]).start()
    server.run([listener])


def measure(port: int, clients: int, seconds: float, steps: int) -> dict[str, float]:
    """Return throughput and latency of concurrent clients that send requests for some seconds."""
    import httpx

    latencies: list[float] = []
    end = time.perf_counter() + seconds

    def send_requests(number: int) -> None:
        with httpx.Client(timeout=600, trust_env=False) as client:
            while (started := time.perf_counter()) < end:
                request = {"class": number % 6, "seed": number, "steps": steps, "guidance": 1.0}
                client.post(f"http://127.0.0.1:{port}/v1/images", json=request).raise_for_status()
                latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    threads = [threading.Thread(target=send_requests, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    percentiles = (
        statistics.quantiles(latencies, n=100, method="inclusive")
        if len(latencies) > 1
        else latencies * 99
    )
    return {
        "images_per_second": len(latencies) / elapsed,
        "p50": percentiles[49],
        "p99": percentiles[98],
    }


def measure_subject(subject: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """Start a server, measure it with each number of clients, and stop it."""
    arguments = [sys.executable, __file__, "--subject", subject, "--profile", options.profile]
    arguments += ["--threads", str(options.threads)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        measure(port, 2, 1.0, options.steps)
        rows = [measure(port, n, options.seconds, options.steps) for n in CLIENTS]
        server.kill()
    return rows


def main() -> None:
    """Measure all three servers and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of the two simple servers; 0: all cores"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        if options.threads and options.subject != "iddm":
            import torch

            torch.set_num_threads(options.threads)
        serve = {"iddm": serve_iddm, "one-by-one": serve_one_by_one, "diffusers": serve_diffusers}
        serve[options.subject](options.profile, lambda port: print(port, flush=True))
        return
    table = {subject: measure_subject(subject, options) for subject in SUBJECTS}
    print(
        f"{'':12}{'clients':>8}{'images/s':>10}{'p50 s':>8}{'p99 s':>8}{'ratio':>8}"
        "   (one-by-one = 1)"
    )
    for subject, rows in table.items():
        for clients, row, baseline in zip(CLIENTS, rows, table["one-by-one"], strict=True):
            ratio = row["images_per_second"] / baseline["images_per_second"]
            print(
                f"{subject:12}{clients:8}{row['images_per_second']:10.2f}"
                f"{row['p50']:8.2f}{row['p99']:8.2f}{ratio:8.2f}"
            )
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
