"""Train step: time and memory of a training step, compared with peers and with other kernels.

    python benchmarks/train_step.py --json benchmarks/results/train-step.json

Every subject trains a U-Net of about eleven million parameters on random 32 x 32 RGB images, batch
32, in fp32 and in bf16:

    iddm                          as `iddm train` does, with the kernels that it chooses here
    iddm, reference kernels       the same, computed as before there was a choice
    network alone                 forward, backward and fused AdamW of iddm's network: no loop
    diffusers                     its unconditional training example (UNet2DModel with its default
                                  attention, DDPMScheduler, AdamW, gradient clipping, EMAModel)
    denoising-diffusion-pytorch   its Unet and GaussianDiffusion with Adam, clipping and EMA

The profiles demo and fashion-mnist are measured with both kernels. Each measurement runs in a new
process, and the rounds alternate between the subjects. Peers that are not installed are left out.
Read only the ratios: absolute times depend on the machine.
"""

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reporting import add_options, print_earlier_table, report_rows

BATCH, SIZE, WARMUP, STEPS = 32, 32, 1, 4
PRECISIONS = ("fp32", "bf16")
PROFILES = ("demo", "fashion-mnist")
PEERS = {"diffusers": "diffusers", "denoising-diffusion-pytorch": "denoising_diffusion_pytorch"}
Step = Callable[[int], object]

UNET = {"base_channels": 64, "channel_multipliers": [1, 2, 3], "attention_levels": [1, 2]}


def load_profile_of(case: str):
    """Return the profile of a case: a shipped one, or the network that is compared with peers."""
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.profile import ResolvedProfile

    if case in PROFILES:
        profile = load_profile(case, []).model_dump()
        profile["data"] = {"channels": 1, "image_size": profile["data"]["image_size"]}
        return ResolvedProfile.model_validate(profile)
    training = {"batch_size": BATCH, "steps": 10**6, "epochs": None}
    return ResolvedProfile.model_validate(
        {"data": {"channels": 3}, "model": UNET, "training": training}
    )


def build_iddm(case: str, precision: str, kernels: str) -> tuple[int, Step]:
    """Return the number of parameters and a training step of iddm."""
    import torch

    from iddm_cli.build.networks import build_denoiser
    from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
    from iddm_cli.data.loader.batch_loader import BatchLoader
    from iddm_cli.data.loader.stores import MemoryStore
    from iddm_cli.engine import device, randomness
    from iddm_cli.engine.kernel_choice import choose_kernels
    from iddm_cli.engine.train_step import TrainStep
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.networks.kernels import KERNELS, use_kernels

    device.setup_process(0)
    profile = load_profile_of(case)
    denoiser = build_denoiser(profile, 0)
    if kernels == "auto":
        kernels = choose_kernels(denoiser, profile.data.shape, precision)
        print(f"{case}, {precision}: {kernels}", file=sys.stderr)
    use_kernels(denoiser.backbone, KERNELS[kernels])
    pixels = torch.randint(0, 256, (256, *profile.data.shape), dtype=torch.uint8)
    loader = BatchLoader(
        MemoryStore(pixels),
        torch.zeros(256, dtype=torch.int64),
        batch_size=profile.training.batch_size,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=256),
    )
    train_step = TrainStep(
        denoiser,
        loader,
        profile.training,
        times="stratified",
        precision=precision,
        num_classes=0,
        numerics={},
    )
    trainer = Trainer(train_step, checkpoints=CheckpointFolder(Path(tempfile.gettempdir())))
    return count_parameters(denoiser), trainer.train_step.update


def build_network_alone(case: str, precision: str) -> tuple[int, Step]:
    """Return the same network and optimizer without the loop around them."""
    import torch

    from iddm_cli.build.networks import build_denoiser
    from iddm_cli.engine import device
    from iddm_cli.engine.kernel_choice import choose_kernels
    from iddm_cli.networks.kernels import KERNELS, use_kernels

    device.setup_process(0)
    profile = load_profile_of(case)
    denoiser = build_denoiser(profile, 0)
    network = denoiser.backbone
    use_kernels(network, KERNELS[choose_kernels(denoiser, profile.data.shape, precision)])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    x = torch.randn(profile.training.batch_size, *profile.data.shape)
    t = label = torch.zeros(len(x), dtype=torch.int64)

    def step(_: int) -> None:
        with device.autocast(x.device, precision):
            out = network(x, t, label).float()
        (out - x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return count_parameters(network), step


def build_diffusers(_case: str, precision: str) -> tuple[int, Step]:
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
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            prediction = model(scheduler.add_noise(x, noise, t), t).sample
        torch.nn.functional.mse_loss(prediction.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(model.parameters())

    return count_parameters(model), step


def build_ddp(_case: str, precision: str) -> tuple[int, Step]:
    """Return the number of parameters and a training step of denoising-diffusion-pytorch."""
    import torch
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    model = Unet(dim=68, dim_mults=(1, 2, 4), full_attn=(False, True, True))
    diffusion = GaussianDiffusion(model, image_size=SIZE, timesteps=1000)
    ema = EMA(diffusion, beta=0.995, update_every=10)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
    data = torch.rand(256, 3, SIZE, SIZE)

    def step(_: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = diffusion(data[torch.randint(0, 256, (BATCH,))])
        loss.float().backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update()

    return count_parameters(diffusion), step


def count_parameters(module) -> int:
    """Return the number of a module's parameters."""
    return sum(p.numel() for p in module.parameters())


BUILDERS: dict[str, Callable[[str, str], tuple[int, Step]]] = {
    "iddm": lambda case, precision: build_iddm(case, precision, "auto"),
    "iddm, reference kernels": lambda case, precision: build_iddm(case, precision, "reference"),
    "network alone": build_network_alone,
    "diffusers": build_diffusers,
    "denoising-diffusion-pytorch": build_ddp,
}


def list_subjects(case: str) -> list[str]:
    """Return the subjects of a case; peers only where they are installed."""
    names = list(BUILDERS)
    peers = [name for name, module in PEERS.items() if importlib.util.find_spec(module)]
    return [name for name in names if name not in PEERS or (name in peers and case == "unet")]


def measure(case: str, precision: str, subject: str, threads: int) -> dict[str, float]:
    """Measure one subject in this process."""
    import torch

    torch.set_num_threads(threads)
    parameters, step = BUILDERS[subject](case, precision)
    seconds, cpu = [], []
    for number in range(WARMUP + STEPS):
        started, used = time.perf_counter(), time.process_time()
        step(number)
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return {
        "parameters": parameters,
        "seconds": statistics.median(seconds[WARMUP:]),
        "cpu_seconds": statistics.median(cpu[WARMUP:]),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def measure_all(cases: list[str], threads: int, rounds: int) -> list[dict[str, object]]:
    """Measure all subjects, in turn; return the median of each as a row."""
    rows: list[dict[str, object]] = []
    for case in cases:
        for precision in PRECISIONS:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in list_subjects(case)}
            for _ in range(rounds):
                for subject, results in found.items():
                    words = ["--one", case, precision, subject, "--threads", str(threads)]
                    command = [sys.executable, __file__, *words]
                    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                    results.append(json.loads(output.stdout.splitlines()[-1]))
            for subject, results in found.items():
                medians = {key: statistics.median(r[key] for r in results) for key in results[0]}
                rows.append({"case": case, "precision": precision, "subject": subject, **medians})
    return rows


def tabulate(rows: list[dict]) -> str:
    """Return the tables: time and memory relative to iddm."""
    lines = []
    for case in dict.fromkeys(row["case"] for row in rows):
        name = case if case in PROFILES else "32 x 32 x 3, batch 32"
        lines += [f"**{name}**", "", "| | parameters | time, fp32 | time, bf16 | memory, bf16 |"]
        lines += ["|---|---|---|---|---|"]
        own = [row for row in rows if row["case"] == case]
        for subject in dict.fromkeys(row["subject"] for row in own):
            by = {row["precision"]: row for row in own if row["subject"] == subject}
            iddm = {row["precision"]: row for row in own if row["subject"] == "iddm"}
            times = [f"{by[p]['seconds'] / iddm[p]['seconds']:.2f}" for p in PRECISIONS]
            memory = f"{by['bf16']['peak_gib'] / iddm['bf16']['peak_gib']:.2f}"
            cells = [subject, f"{by['fp32']['parameters'] / 1e6:.1f} M", *times, memory]
            lines.append("| " + " | ".join(cells) + " |")
        speed = iddm["fp32"]["seconds"] / iddm["bf16"]["seconds"]
        lines += ["", f"bf16 is {speed:.2f} times as fast as fp32 in iddm.", ""]
    return "\n".join(lines).rstrip()


def main() -> None:
    """Measure all subjects, alternating between them, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=["unet", *PROFILES])
    add_options(parser)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options.threads)))
        return
    if print_earlier_table(options, tabulate):
        return
    rows = measure_all(options.cases, options.threads, options.rounds)
    report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
