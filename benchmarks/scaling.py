"""Scaling: images per second of one and two processes, compared with plain DDP.

    python benchmarks/scaling.py [--steps 40] [--json FILE]

Each process has one thread. The peer trains the same network with DistributedDataParallel in about
thirty lines: no checkpoints, no EMA, no logging, and one tensor as data. The iddm side is its whole
training loop except checkpoints and sample grids. Both take their steps in turn inside the same
processes; the ratio is the median over pairs of neighbouring steps.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from iddm_cli.build.networks import build_denoiser
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.distributed.launch import run_local
from iddm_cli.engine import randomness
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import Trainer
from iddm_cli.profiles.profile import ResolvedProfile

BATCH, SIZE, IMAGES, WARMUP = 32, 32, 256, 5

Step = Callable[[int], None]


def build_profile() -> ResolvedProfile:
    """Return the profile that both sides train."""
    return ResolvedProfile.model_validate(
        {
            "data": {"channels": 3, "image_size": SIZE},
            "model": {"base_channels": 32, "channel_multipliers": [1, 2, 2]},
            "training": {"batch_size": BATCH, "steps": 10**6, "epochs": None, "log_every": 10**6},
        }
    )


def make_pixels() -> torch.Tensor:
    """Return random images, uint8 [N, C, H, W]."""
    generator = torch.Generator().manual_seed(0)
    shape = (IMAGES, 3, SIZE, SIZE)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def build_iddm_step(group: ProcessGroup, folder: Path) -> Step:
    """Return one step of iddm's trainer, as `Trainer.fit` makes it."""
    profile = build_profile()
    loader = BatchLoader(
        MemoryStore(make_pixels()),
        torch.zeros(IMAGES, dtype=torch.int64),
        batch_size=BATCH,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=IMAGES),
    )
    train_step = TrainStep(
        build_denoiser(profile, 0),
        loader,
        profile.training,
        times="stratified",
        precision="fp32",
        num_classes=0,
        numerics={},
        group=group,
    )
    trainer = Trainer(train_step, checkpoints=CheckpointFolder(folder))

    def step(number: int) -> None:
        trainer.metrics.add(trainer.train_step.update(number))
        group.all_reduce_max(0)  # as the trainer does to agree on a stop request

    return step


def build_ddp_step(group: ProcessGroup) -> Step:
    """Return one step of plain DDP."""
    denoiser = build_denoiser(build_profile(), 0)
    network = (
        denoiser.backbone if group.world_size == 1 else DistributedDataParallel(denoiser.backbone)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, fused=True)
    data = make_pixels().float() / 127.5 - 1
    local_batch = BATCH // group.world_size
    alpha, sigma = denoiser.schedule.alpha, denoiser.schedule.sigma

    def step(_number: int) -> None:
        x = data[torch.randint(0, IMAGES, (local_batch,))]
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (local_batch,))
        a, s = alpha[t][:, None, None, None], sigma[t][:, None, None, None]
        prediction = network(a * x + s * noise, t, torch.zeros(local_batch, dtype=torch.int64))
        torch.nn.functional.mse_loss(prediction, noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def take_turns(group: ProcessGroup, _device: torch.device, job: dict) -> int:
    """Time the steps of both sides in turn, so that a change in machine speed affects both."""
    torch.set_num_threads(1)
    folder = Path(job["folder"])
    steps = {"iddm": build_iddm_step(group, folder), "plain DDP": build_ddp_step(group)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(WARMUP + job["steps"]):
        # The order alternates, because the second side runs with the CPU caches of the first.
        for name in list(steps)[:: 1 if number % 2 else -1]:
            wait_for_all(group)
            started = time.perf_counter()
            steps[name](number)
            wait_for_all(group)
            seconds[name].append(time.perf_counter() - started)
    if group.is_main:
        measured = {name: values[WARMUP:] for name, values in seconds.items()}
        Path(folder, "seconds").write_text(json.dumps(measured))
    return 0


def wait_for_all(group: ProcessGroup) -> None:
    """Wait until all processes arrive here."""
    if group.world_size > 1:
        dist.barrier()


def measure(world_size: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds of each step of both sides, with a number of processes."""
    with tempfile.TemporaryDirectory() as folder:
        job = {"folder": folder, "steps": steps}
        devices = [torch.device("cpu")] * world_size
        if world_size == 1:
            # A spawned process as well, so that both cases start in the same way.
            context = torch.multiprocessing.get_context("spawn")
            process = context.Process(target=take_turns, args=(ProcessGroup(), devices[0], job))
            process.start()
            process.join()
        else:
            run_local(take_turns, job, devices, 120)
        seconds: dict[str, list[float]] = json.loads(Path(folder, "seconds").read_text())
        return seconds


def main() -> None:
    """Measure one and two processes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {size: measure(size, options.steps) for size in (1, 2)}
    speeds = {
        (name, size): BATCH / statistics.median(seconds)
        for size, both in results.items()
        for name, seconds in both.items()
    }
    print("| processes | iddm, images/s | plain DDP, images/s | time of a step, plain DDP = 1 |")
    print("|---|---|---|---|")
    for size, both in results.items():
        pairs = zip(both["iddm"], both["plain DDP"], strict=True)
        ratio = statistics.median(one / other for one, other in pairs)
        one, other = speeds["iddm", size], speeds["plain DDP", size]
        print(f"| {size} | {one:.1f} | {other:.1f} | {ratio:.3f} |")
    for name in ("iddm", "plain DDP"):
        print(f"{name}: speed-up of 2 processes over 1: {speeds[name, 2] / speeds[name, 1]:.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
