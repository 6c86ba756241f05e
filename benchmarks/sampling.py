"""Sampling: images per second by precision and guidance, compared with diffusers.

    python benchmarks/sampling.py [--threads 2] [--rounds 5] [--images 16] [--json FILE]

Four subjects generate 32 x 32 RGB images with DDIM and a network of eleven million parameters:

    iddm             in the precision that `sampling.precision: auto` takes if images stay close
    iddm-fp32        in fp32
    diffusers        UNet2DModel of the same size and DDIMScheduler, as DDIMPipeline calls them
    diffusers-bf16   the same in bf16

each without guidance, with guidance in every step, and with guidance at noise levels from 0.2 to
0.8. diffusers has no such interval, and guides every step there. Each measurement runs in a new
process, and the rounds alternate between the subjects; what is printed are medians of the ratios of
a round. The weights are random, which changes no time; how close bf16 is to fp32 is measured on
trained weights: `iddm evaluate RUN --precision fp32,bf16`.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUBJECTS = ("iddm", "iddm-fp32", "diffusers", "diffusers-bf16")
GUIDANCE = {
    "no guidance": (1.0, [0.0, 1.0]),
    "guidance everywhere": (3.0, [0.0, 1.0]),
    "guidance in [0.2, 0.8]": (3.0, [0.2, 0.8]),
}
"""Scale and interval of each row."""

SIZE, CLASSES = 32, 10

Generate = Callable[[float, list[float], int], object]
"""`generate(scale, interval, images)` generates one batch."""


def build_iddm(subject: str, steps: int) -> tuple[Generate, str]:
    """Return iddm's image generator, and its precision."""
    import torch

    from iddm_cli.build.networks import build_denoiser
    from iddm_cli.engine.device import choose_precision
    from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
    from iddm_cli.profiles.profile import ResolvedProfile

    model = {"base_channels": 64, "channel_multipliers": [1, 2, 3], "attention_levels": [1, 2]}
    profile = ResolvedProfile.model_validate({"data": {"channels": 3}, "model": model})
    denoiser = build_denoiser(profile, CLASSES).eval().requires_grad_(False)
    device = torch.device("cpu")
    precision = "fp32" if subject == "iddm-fp32" else choose_precision("auto", device)
    generators: dict[str, ImageGenerator] = {}

    def generate(scale: float, interval: list[float], images: int) -> object:
        changes = {"steps": steps, "guidance": scale, "guidance_interval": interval}
        key = json.dumps(changes)
        if key not in generators:
            generators[key] = ImageGenerator(
                denoiser,
                profile.sampling.model_copy(update=changes),
                num_classes=CLASSES,
                shape=profile.data.shape,
                precision=precision,
            )
        specs = [SampleSpec(i % CLASSES, i) for i in range(images)]
        return list(generators[key].generate(specs, seed=0, batch_size=images))

    return generate, precision


def build_diffusers(subject: str, steps: int) -> tuple[Generate, str]:
    """Return diffusers' loop over its network and scheduler, and its precision."""
    import torch
    from diffusers import DDIMScheduler, UNet2DModel

    network = UNet2DModel(
        sample_size=SIZE,
        block_out_channels=(64, 128, 192),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        num_class_embeds=CLASSES + 1,
    ).eval()
    dtype = torch.bfloat16 if subject == "diffusers-bf16" else torch.float32
    network.to(dtype)
    scheduler = DDIMScheduler(1000)

    @torch.no_grad()
    def generate(scale: float, _interval: list[float], images: int) -> object:
        scheduler.set_timesteps(steps)
        x = torch.randn(images, 3, SIZE, SIZE, dtype=dtype)
        label = torch.arange(images) % CLASSES
        both = torch.cat([label, torch.full_like(label, CLASSES)])
        for t in scheduler.timesteps:
            if scale == 1:
                output = network(x, t, class_labels=label).sample
            else:
                cond, uncond = network(torch.cat([x, x]), t, class_labels=both).sample.chunk(2)
                output = uncond + scale * (cond - uncond)
            x = scheduler.step(output, t, x).prev_sample
        return x.float().numpy()

    return generate, "bf16" if dtype == torch.bfloat16 else "fp32"


def measure(subject: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds and CPU seconds of one batch for each row, in this process."""
    import torch

    torch.set_num_threads(options.threads)
    build = build_diffusers if subject.startswith("diffusers") else build_iddm
    generate, precision = build(subject, options.steps)
    rows: dict[str, Any] = {"precision": precision}
    for name, (scale, interval) in GUIDANCE.items():
        generate(scale, interval, options.images)  # kernels are chosen, memory is allocated
        started, cpu = time.perf_counter(), time.process_time()
        generate(scale, interval, options.images)
        rows[name] = {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu,
        }
    return rows


def run_round(subjects: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Measure every subject once, each in a new process."""
    results = {}
    for subject in subjects:
        arguments = [sys.executable, __file__, "--subject", subject]
        for key in ("threads", "images", "steps"):
            arguments += [f"--{key}", str(getattr(options, key))]
        output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
        results[subject] = json.loads(output.splitlines()[-1])
    return results


def print_table(rounds: list[dict[str, Any]]) -> None:
    """Print the median speed relative to iddm in fp32 with guidance everywhere, as Markdown."""
    print("| | " + " | ".join(GUIDANCE) + " |")
    print("|---|" + "---|" * len(GUIDANCE))
    for subject in rounds[0]:
        cells = [f"{subject} ({rounds[0][subject]['precision']})"]
        for row in GUIDANCE:
            ratio = statistics.median(
                one["iddm-fp32"]["guidance everywhere"]["seconds"] / one[subject][row]["seconds"]
                for one in rounds
            )
            cells.append(f"{ratio:.2f}")
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Measure all subjects, alternating between them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, help="such as benchmarks/results/sampling.json")
    parser.add_argument("--table", type=Path, help="print the table of these results instead")
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        print(json.dumps(measure(options.subject, options)))
        return
    if options.table:
        print_table(json.loads(options.table.read_text())["rounds"])
        return
    subjects = list(SUBJECTS)
    if importlib.util.find_spec("diffusers") is None:
        print("diffusers is not installed, so only iddm is measured: pip install diffusers")
        subjects = [name for name in subjects if not name.startswith("diffusers")]
    rounds = [run_round(subjects, options) for _ in range(options.rounds)]
    print_table(rounds)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        settings = {key: getattr(options, key) for key in ("threads", "images", "steps")}
        options.json.write_text(json.dumps({**settings, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
