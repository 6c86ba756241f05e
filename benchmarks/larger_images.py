"""Larger images: memory and time of a training step at 64 to 512 pixels.

    python benchmarks/larger_images.py --json benchmarks/results/larger-images.json

Each network has its innermost level (or its tokens) at 16 x 16 for every size of images, so it
grows as `iddm train --from RUN --image-size` lets it grow. Attention is on the innermost level.
Images are grey, and noise: their content changes no time.

    pixel         a U-Net of 64 channels without patches, one more level for each doubling
    patch 2, 4    the same on patches, with one or two levels fewer
    dit           a transformer over patches of a sixteenth of the side
    latent        the U-Net on latents of an eighth of the side, which data.encoder packs once
    autoencoder   the network of the profile `autoencoder`, which makes these latents

Each measurement runs in a new process. Memory is the most that the process held, with Python and
PyTorch; a further image is the difference of two processes, divided by the images between them (32
at 64 x 64, 4 at 512 x 512; 64 latents). Images per second are those of the process that
computes more images at once.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

from reporting import add_options, print_earlier_table, report_rows

SIZES = (64, 128, 256, 512)
DOWNSAMPLING = 8
LATENT_CHANNELS = 4
FEW = 2
LATENTS = 64
"""How many more latents are computed at once: they are small, and their memory must show."""

INNERMOST = 16
STEPS = 2


def describe_unet(size: int, patch: int) -> dict[str, object]:
    """Return the settings of a U-Net on patches, with its innermost level at 16 x 16."""
    levels = max(1, (size // patch // INNERMOST).bit_length())
    multipliers = [1] * max(0, levels - 2) + [2, 2]
    return {
        "base_channels": 64,
        "channel_multipliers": multipliers[-levels:],
        "blocks_per_level": 1,
        "attention_levels": [levels - 1],
        "patch_size": patch,
    }


NETWORKS: dict[str, Callable[[int], dict[str, object]]] = {
    "pixel": lambda size: describe_unet(size, 1),
    "patch 2": lambda size: describe_unet(size, 2),
    "patch 4": lambda size: describe_unet(size, 4),
    "dit": lambda size: {"network": "dit", "patch_size": size // INNERMOST},
    "latent": lambda size: describe_unet(size // DOWNSAMPLING, 1),
    "autoencoder": lambda _: {
        "network": "autoencoder",
        "downsampling": DOWNSAMPLING,
        "latent_channels": LATENT_CHANNELS,
        "base_channels": 64,
        "blocks_per_level": 1,
    },
}


def describe(network: str, size: int, images: int) -> dict[str, object]:
    """Return the profile of a training of a network on images of a size."""
    training = {"batch_size": images, "optimizer": "muon", "sample_count": 0}
    profile = {"model": NETWORKS[network](size), "training": training}
    if network == "autoencoder":
        data = {"channels": 1, "image_size": size, "conditional": False}
        training["label_drop"] = 0
        return profile | {"data": data, "sampling": {"guidance": 1}}
    data = {"channels": 1, "image_size": size}
    if network == "latent":
        data = {"channels": LATENT_CHANNELS, "image_size": size // DOWNSAMPLING}
    return profile | {"data": data, "diffusion": {"schedule": "flow", "prediction": "flow"}}


def measure(network: str, size: int, images: int, precision: str) -> dict[str, object]:
    """Train a few steps in this process; return what they took."""
    import torch

    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.build.speed.timed_network import build_synthetic_loader
    from iddm_cli.build.trainer import build_train_step
    from iddm_cli.engine import device
    from iddm_cli.machine.memory import peak_memory
    from iddm_cli.profiles.profile import ResolvedProfile

    device.setup_process(0)
    cpu = torch.device("cpu")
    profile = ResolvedProfile.model_validate(describe(network, size, images))
    loader = build_synthetic_loader(profile, 0, cpu)
    compute = ComputeContext(cpu, device.choose_precision(precision, cpu))
    train_step = build_train_step(profile, 0, loader, compute)
    train_step.update(0)
    started = time.perf_counter()
    for step in range(STEPS):
        train_step.update(1 + step).loss.item()
    return {
        "parameters": sum(p.numel() for p in train_step.denoiser.parameters()),
        "precision": compute.precision,
        "seconds": (time.perf_counter() - started) / STEPS,
        "peak": peak_memory(),
    }


def measure_row(network: str, size: int, precision: str) -> dict[str, object]:
    """Measure a network at a size, in two processes; return its row."""
    found = []
    further = LATENTS if network == "latent" else max(2, 2048 // size)
    for images in (FEW, FEW + further):
        words = ["--one", network, str(size), str(images), "--precision", precision]
        command = [sys.executable, __file__, *words]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(output.stdout.splitlines()[-1]))
    few, many = found
    return {
        "network": network,
        "size": size,
        "parameters": many["parameters"],
        "precision": many["precision"],
        "two_images": few["peak"],
        "further_image": (many["peak"] - few["peak"]) / further,
        "images_per_second": (FEW + further) / many["seconds"],
    }


def count_fitting(row: dict, gibibytes: int) -> int:
    """Return how many images at once fit so much memory."""
    room = 0.95 * gibibytes * 2**30 - row["two_images"]
    return max(0, FEW + int(room / row["further_image"])) if room >= 0 else 0


def tabulate(rows: list[dict]) -> str:
    """Return the table."""
    lines = [
        "| network | size | parameters | memory, two images | each further image | "
        "at once in 8 GiB | in 16 GiB | images per second | time per pixel |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    times = {(r["network"], r["size"]): 1 / (r["images_per_second"] * r["size"] ** 2) for r in rows}
    for row in rows:
        first = next(r["size"] for r in rows if r["network"] == row["network"])
        name, size = row["network"], row["size"]
        cells = [
            name,
            f"{size} x {size}",
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['two_images'] / 2**30:.2f} GiB",
            f"{row['further_image'] / 2**20:.0f} MiB",
            *(f"{count_fitting(row, gibibytes):,}" for gibibytes in (8, 16)),
            f"{row['images_per_second']:.{0 if row['images_per_second'] >= 10 else 1}f}",
            f"{times[name, size] / times[name, first]:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure every network at every size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=[*NETWORKS])
    parser.add_argument("--sizes", nargs="+", type=int, default=[*SIZES])
    parser.add_argument("--precision", default="auto")
    add_options(parser)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        network, size, images = options.one
        print(json.dumps(measure(network, int(size), int(images), options.precision)))
        return
    if print_earlier_table(options, tabulate):
        return
    rows = [
        measure_row(network, size, options.precision)
        for network in options.networks
        for size in options.sizes
    ]
    report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
