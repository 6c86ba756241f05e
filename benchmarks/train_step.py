"""Train step: time and memory of a training step, compared with diffusers' training example.

    python benchmarks/train_step.py [--threads 2] [--rounds 3] [--json FILE]

Both train a U-Net of about eleven million parameters on random 32 x 32 RGB images, batch 32, fp32:
iddm as `iddm train` does (fused AdamW, gradient clipping, EMA), and diffusers as the unconditional
training example in its repository does (UNet2DModel with its default attention, DDPMScheduler,
AdamW, gradient clipping, EMAModel). Each measurement runs in a new process, and the rounds
alternate between the two. Read only the ratio: absolute times depend on the machine.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SUBJECTS = ("iddm", "diffusers")
BATCH, SIZE, WARMUP, STEPS = 32, 32, 2, 8


def build_iddm_step() -> tuple[int, Callable[[int], object]]:
    """Return the number of parameters and a training step of iddm."""
    import torch

    from iddm_cli.build.networks import build_denoiser
    from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
    from iddm_cli.data.loader.batch_loader import BatchLoader
    from iddm_cli.data.loader.stores import MemoryStore
    from iddm_cli.engine import device, randomness
    from iddm_cli.engine.train_step import TrainStep
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.profiles.profile import ResolvedProfile

    device.setup_process(0)
    model = {"base_channels": 64, "channel_multipliers": [1, 2, 3], "attention_levels": [1, 2]}
    training = {"batch_size": BATCH, "steps": 10**6, "epochs": None}
    profile = ResolvedProfile.model_validate(
        {"data": {"channels": 3}, "model": model, "training": training}
    )
    denoiser = build_denoiser(profile, 0)
    pixels = torch.randint(0, 256, (256, 3, SIZE, SIZE), dtype=torch.uint8)
    loader = BatchLoader(
        MemoryStore(pixels),
        torch.zeros(256, dtype=torch.int64),
        batch_size=BATCH,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=256),
    )
    train_step = TrainStep(
        denoiser,
        loader,
        profile.training,
        times="uniform",
        precision="fp32",
        num_classes=0,
        numerics={},
    )
    trainer = Trainer(train_step, checkpoints=CheckpointFolder(Path(tempfile.gettempdir())))
    return sum(p.numel() for p in denoiser.parameters()), trainer.train_step.update


def build_diffusers_step() -> tuple[int, Callable[[int], object]]:
    """Return the number of parameters and a training step of diffusers' example."""
    import torch
    from diffusers import DDPMScheduler, UNet2DModel
    from diffusers.training_utils import EMAModel

    model = UNet2DModel(
        sample_size=SIZE,
        block_out_channels=(64, 128, 192),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )
    ema = EMAModel(model.parameters(), decay=0.9999, use_ema_warmup=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scheduler = DDPMScheduler(1000)
    data = torch.rand(256, 3, SIZE, SIZE) * 2 - 1

    def step(_: int) -> None:
        x = data[torch.randint(0, 256, (BATCH,))]
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (BATCH,))
        prediction = model(scheduler.add_noise(x, noise, t), t).sample
        torch.nn.functional.mse_loss(prediction, noise).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(model.parameters())

    return sum(p.numel() for p in model.parameters()), step


def measure(subject: str, threads: int) -> dict[str, float]:
    """Measure one subject in this process."""
    import torch

    torch.set_num_threads(threads)
    parameters, step = {"iddm": build_iddm_step, "diffusers": build_diffusers_step}[subject]()
    seconds = []
    for number in range(WARMUP + STEPS):
        started = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "parameters": parameters,
        "seconds": statistics.median(seconds[WARMUP:]),
        "peak_gib": peak,
    }


def main() -> None:
    """Measure both, alternating between them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        print(json.dumps(measure(options.subject, options.threads)))
        return
    results: dict[str, list[dict[str, float]]] = {subject: [] for subject in SUBJECTS}
    for _ in range(options.rounds):
        for subject in SUBJECTS:
            arguments = [sys.executable, __file__, "--subject", subject]
            arguments += ["--threads", str(options.threads)]
            output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
            results[subject].append(json.loads(output.splitlines()[-1]))
    table = {
        subject: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for subject, rows in results.items()
    }
    peer = table["diffusers"]
    print(f"{'':12}{'parameters':>12}{'time':>8}{'memory':>8}   (diffusers = 1)")
    for subject, row in table.items():
        time_ratio = row["seconds"] / peer["seconds"]
        memory_ratio = row["peak_gib"] / peer["peak_gib"]
        million = f"{row['parameters'] / 1e6:.2f} M"
        print(f"{subject:12}{million:>12}{time_ratio:8.2f}{memory_ratio:8.2f}")
    if options.json:
        options.json.write_text(json.dumps({"median": table, "rounds": results}, indent=1))


if __name__ == "__main__":
    main()
