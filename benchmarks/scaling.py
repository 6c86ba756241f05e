"""Several processes: images per second of 1 and 2, beside plain DistributedDataParallel.

Each process has one thread. The peer is the same network in DDP in about thirty lines: no
checkpoints, no average, no logging, no data but a tensor; ours is a run's whole training loop,
its checkpoints and grids left out. Both make their steps in turn inside the same processes, and
the ratio is the median over pairs of neighbouring steps.

    python benchmarks/scaling.py [--steps 40] [--json FILE]
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
from iddm_cli.checkpoints.folder import CheckpointFolder
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.distributed.launch import run_local
from iddm_cli.engine import randomness
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import Trainer
from iddm_cli.profiles.profile import ResolvedProfile

BATCH, SIZE, PICTURES, WARM = 32, 32, 256, 5


Step = Callable[[int], None]


def profile() -> ResolvedProfile:
    """Return the profile of both."""
    return ResolvedProfile.model_validate(
        {
            "data": {"channels": 3, "image_size": SIZE},
            "model": {"base_channels": 32, "channel_multipliers": [1, 2, 2]},
            "training": {"batch_size": BATCH, "steps": 10**6, "epochs": None, "log_every": 10**6},
        }
    )


def pixels() -> torch.Tensor:
    """Return pictures, uint8, [N, C, H, W]."""
    generator = torch.Generator().manual_seed(0)
    shape = (PICTURES, 3, SIZE, SIZE)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def ours(group: ProcessGroup, folder: Path) -> Step:
    """Return one step of iddm's trainer, as fit makes it."""
    chosen = profile()
    batches = BatchLoader(
        MemoryStore(pixels()),
        torch.zeros(PICTURES, dtype=torch.int64),
        batch_size=BATCH,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=PICTURES),
    )
    train_step = TrainStep(
        build_denoiser(chosen, 0),
        batches,
        chosen.training,
        times="stratified",
        precision="fp32",
        num_classes=0,
        numerics={},
        group=group,
    )
    trainer = Trainer(train_step, checkpoints=CheckpointFolder(folder))

    def step(number: int) -> None:
        trainer.metrics.add(*trainer.train_step.update(number))
        group.all_reduce_max(0)  # to agree on a stop

    return step


def peers(group: ProcessGroup) -> Step:
    """Return one step of plain DDP."""
    denoiser = build_denoiser(profile(), 0)
    network = (
        denoiser.backbone if group.world_size == 1 else DistributedDataParallel(denoiser.backbone)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, fused=True)
    data = pixels().float() / 127.5 - 1
    share = BATCH // group.world_size
    alpha, sigma = denoiser.schedule.alpha, denoiser.schedule.sigma

    def step(_number: int) -> None:
        x = data[torch.randint(0, PICTURES, (share,))]
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (share,))
        a, s = alpha[t][:, None, None, None], sigma[t][:, None, None, None]
        said = network(a * x + s * noise, t, torch.zeros(share, dtype=torch.int64))
        torch.nn.functional.mse_loss(said, noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def race(group: ProcessGroup, _device: torch.device, job: dict) -> int:
    """Let both make their steps in turn, so that a machine of changing speed is fair to both."""
    torch.set_num_threads(1)
    folder = Path(job["folder"])
    steps = {"iddm": ours(group, folder), "plain DDP": peers(group)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(WARM + job["steps"]):
        # Who comes first changes: the second finds the caches as the first has left them.
        for name in list(steps)[:: 1 if number % 2 else -1]:
            meet(group)
            began = time.perf_counter()
            steps[name](number)
            meet(group)
            seconds[name].append(time.perf_counter() - began)
    if group.is_main:
        kept = {name: taken[WARM:] for name, taken in seconds.items()}
        Path(folder, "seconds").write_text(json.dumps(kept))
    return 0


def meet(group: ProcessGroup) -> None:
    """Wait for all processes."""
    if group.world_size > 1:
        dist.barrier()


def measure(size: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds of each step of both, with so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        job = {"folder": folder, "steps": steps}
        devices = [torch.device("cpu")] * size
        if size == 1:
            # In a process of its own as well, so that both sizes start alike.
            context = torch.multiprocessing.get_context("spawn")
            process = context.Process(target=race, args=(ProcessGroup(), devices[0], job))
            process.start()
            process.join()
        else:
            run_local(race, job, devices, 120)
        found: dict[str, list[float]] = json.loads(Path(folder, "seconds").read_text())
        return found


def main() -> None:
    """Measure all in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {size: measure(size, options.steps) for size in (1, 2)}
    speeds = {
        (name, size): BATCH / statistics.median(taken)
        for size, both in found.items()
        for name, taken in both.items()
    }
    print("| processes | iddm, images/s | plain DDP, images/s | time of a step, plain DDP = 1 |")
    print("|---|---|---|---|")
    for size, both in found.items():
        pairs = zip(both["iddm"], both["plain DDP"], strict=True)
        ratio = statistics.median(one / other for one, other in pairs)
        one, other = speeds["iddm", size], speeds["plain DDP", size]
        print(f"| {size} | {one:.1f} | {other:.1f} | {ratio:.3f} |")
    for name in ("iddm", "plain DDP"):
        print(f"2 processes of {name}: {speeds[name, 2] / speeds[name, 1]:.2f} times 1")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
