"""Serving: pictures a second and latency for 1, 8 and 32 clients, beside two simpler servers.

    python benchmarks/serving.py [--profile demo] [--seconds 15] [--steps 20] [--threads 1]

Three servers of the same network, each a process of its own. `--threads` is how many the two plain
ones compute with: for one picture at a time of a small network, one is often faster than all.

    iddm        `iddm serve`: one batch for all, joined between steps
    one-by-one  the same network, one request at a time, behind FastAPI
    diffusers   a plain FastAPI server of diffusers' UNet2DModel and DDIMScheduler, one at a time

Each client asks for one picture, waits for it, and asks for the next; without guidance, as the
pipeline of diffusers for such models draws. Only ratios are to be read: absolute times belong to
the machine.
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


def load(name: str) -> tuple[Any, Any]:
    """Return a profile, and an untrained denoiser of it: time does not depend on the weights."""
    from iddm_cli.build.networks import build_denoiser
    from iddm_cli.profiles.loading import load_profile

    profile = load_profile(name, [])
    profile = profile.resolve(3 if profile.data.channels == "auto" else profile.data.channels)
    return profile, build_denoiser(profile, len(CLASSES)).eval().requires_grad_(False)


def serve_iddm(name: str, tell: Callable[[int], None]) -> None:
    """Serve as `iddm serve` does."""
    import torch

    from iddm_cli.serving.http.security import AccessPolicy
    from iddm_cli.serving.http.server import ImageServer, run_server
    from iddm_cli.serving.http.service import GenerationService
    from iddm_cli.serving.http.sockets import open_listener
    from iddm_cli.serving.scheduling.batch_invariant import CPU_BLOCKS, BatchInvariantDenoiser
    from iddm_cli.serving.scheduling.limits import Limits
    from iddm_cli.serving.scheduling.served_model import ServedModel

    profile, denoiser = load(name)
    shape = profile.data.shape
    exact = BatchInvariantDenoiser(
        denoiser, shape, blocks=CPU_BLOCKS, num_threads=torch.get_num_threads()
    )
    model = ServedModel(name, name, 0, CLASSES, shape, profile.sampling, denoiser, exact)
    listener = open_listener("127.0.0.1", 0)
    service = GenerationService({name: model}, Limits(), print)
    run_server(
        ImageServer(service, AccessPolicy(), lambda: tell(listener.getsockname()[1])), listener
    )


def serve_one_by_one(name: str, tell: Callable[[int], None]) -> None:
    """Serve the same network, one request at a time."""
    from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_image

    profile, denoiser = load(name)

    def draw(label: int, seed: int, steps: int) -> Any:
        sampling = profile.sampling.model_copy(update={"steps": steps, "guidance": 1.0})
        shape = profile.data.shape
        generator = ImageGenerator(denoiser, sampling, num_classes=len(CLASSES), shape=shape)
        return to_image(generator.generate_batch([SampleSpec(label, 0)], seed)[0])

    serve_plainly(draw, tell)


def serve_diffusers(name: str, tell: Callable[[int], None]) -> None:
    """Serve diffusers' classes, the network and weights that `iddm export diffusers` writes."""
    import numpy
    import torch
    from diffusers import DDIMScheduler, UNet2DModel
    from PIL import Image

    profile, _ = load(name)
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
    def draw(label: int, seed: int, steps: int) -> Any:
        scheduler = DDIMScheduler(1000)
        scheduler.set_timesteps(steps)
        noise = torch.Generator().manual_seed(seed)
        x = torch.randn(1, folded, *unet.config.sample_size, generator=noise)
        for t in scheduler.timesteps:
            said = unet(x, t, class_labels=torch.tensor([label])).sample
            x = scheduler.step(said, t, x).prev_sample
        x = torch.pixel_shuffle(x, model.patch_size)
        pixels = ((x[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return Image.fromarray(numpy.squeeze(pixels))

    serve_plainly(draw, tell)


def serve_plainly(draw: Callable[[int, int, int], Any], tell: Callable[[int], None]) -> None:
    """Serve as a first draft would: one request after the other, all by the same thread."""
    import uvicorn
    from fastapi import Body, FastAPI

    from iddm_cli.serving.http.sockets import open_listener

    app, drawer = FastAPI(), ThreadPoolExecutor(1)

    @app.post("/v1/images")
    async def images(asked: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008 (FastAPI's way)
        wanted = (asked["class"], asked["seed"], asked["steps"])
        image = await asyncio.get_running_loop().run_in_executor(drawer, draw, *wanted)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return {"images": [{"image": base64.b64encode(buffer.getvalue()).decode()}]}

    listener = open_listener("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    threading.Timer(1.0, tell, [listener.getsockname()[1]]).start()
    server.run([listener])


def measure(port: int, clients: int, seconds: float, steps: int) -> dict[str, float]:
    """Let clients ask one after the other for some seconds."""
    import httpx

    took: list[float] = []
    end = time.perf_counter() + seconds

    def ask(number: int) -> None:
        with httpx.Client(timeout=600, trust_env=False) as client:
            while (started := time.perf_counter()) < end:
                asked = {"class": number % 6, "seed": number, "steps": steps, "guidance": 1.0}
                client.post(f"http://127.0.0.1:{port}/v1/images", json=asked).raise_for_status()
                took.append(time.perf_counter() - started)

    started = time.perf_counter()
    threads = [threading.Thread(target=ask, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - started
    at = statistics.quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
    return {"images_per_second": len(took) / whole, "p50": at[49], "p99": at[98]}


def measure_subject(subject: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """Start a server, measure it with few and with many clients, and end it."""
    words = [sys.executable, __file__, "--subject", subject, "--profile", options.profile]
    words += ["--threads", str(options.threads)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        measure(port, 2, 1.0, options.steps)
        rows = [measure(port, n, options.seconds, options.steps) for n in CLIENTS]
        server.kill()
    return rows


def main() -> None:
    """Measure all three and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of the plain ones; 0: all cores")
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
        for clients, row, plain in zip(CLIENTS, rows, table["one-by-one"], strict=True):
            ratio = row["images_per_second"] / plain["images_per_second"]
            print(
                f"{subject:12}{clients:8}{row['images_per_second']:10.2f}"
                f"{row['p50']:8.2f}{row['p99']:8.2f}{ratio:8.2f}"
            )
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
