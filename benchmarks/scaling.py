"""Several processes: images per second of 1 and 2, beside plain DistributedDataParallel.

Each process has one thread. The peer is the same network in DDP in about thirty lines: no
checkpoints, no average, no logging, no data but a tensor; ours is a run's whole training loop,
its checkpoints and grids left out. Rounds alternate, and medians are compared.

    python benchmarks/scaling.py [--rounds 3] [--steps 30] [--json FILE]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from iddm_cli import build
from iddm_cli.data.batches import Batches
from iddm_cli.data.stores import MemoryStore
from iddm_cli.engine import randomness
from iddm_cli.engine.checkpoint import CheckpointFolder
from iddm_cli.engine.launch import run_here
from iddm_cli.engine.team import Team
from iddm_cli.engine.trainer import Trainer
from iddm_cli.settings import Profile

BATCH, SIZE, PICTURES, WARM = 32, 32, 256, 5


def profile(steps: int) -> Profile:
    """Return the profile of both."""
    return Profile.model_validate(
        {
            "data": {"channels": 3, "image_size": SIZE},
            "model": {"base_channels": 32, "channel_multipliers": [1, 2, 2]},
            "training": {"batch_size": BATCH, "steps": steps, "epochs": None, "log_every": 10**6},
        }
    )


def pixels() -> torch.Tensor:
    """Return pictures, uint8, [N, C, H, W]."""
    generator = torch.Generator().manual_seed(0)
    shape = (PICTURES, 3, SIZE, SIZE)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def ours(team: Team, _device: torch.device, job: dict) -> int:
    """Train with iddm's trainer, and time the steps."""
    torch.set_num_threads(1)
    chosen = profile(WARM + job["steps"])
    batches = Batches(
        MemoryStore(pixels()),
        torch.zeros(PICTURES, dtype=torch.int64),
        batch_size=BATCH,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=PICTURES),
    )
    trainer = Trainer(
        build.make_denoiser(chosen, 0),
        batches,
        chosen.training,
        times="stratified",
        precision="fp32",
        num_classes=0,
        checkpoints=CheckpointFolder(Path(job["folder"])),
        bits={},
        team=team,
    )
    for step in range(WARM):
        trainer.update(step)
    began = time.perf_counter()
    for step in range(WARM, WARM + job["steps"]):
        trainer.update(step)
        team.largest(0)  # as fit does, to agree on a stop
    return finish(team, job, began)


def peers(team: Team, _device: torch.device, job: dict) -> int:
    """Train with plain DDP, and time the steps."""
    torch.set_num_threads(1)
    denoiser = build.make_denoiser(profile(1), 0)
    network = denoiser.backbone if team.size == 1 else DistributedDataParallel(denoiser.backbone)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, fused=True)
    data = pixels().float() / 127.5 - 1
    share = BATCH // team.size
    alpha, sigma = denoiser.schedule.alpha, denoiser.schedule.sigma
    began = 0.0
    for step in range(WARM + job["steps"]):
        if step == WARM:
            began = time.perf_counter()
        x = data[torch.randint(0, PICTURES, (share,))]
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (share,))
        a, s = alpha[t][:, None, None, None], sigma[t][:, None, None, None]
        said = network(a * x + s * noise, t, torch.zeros(share, dtype=torch.int64))
        torch.nn.functional.mse_loss(said, noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return finish(team, job, began)


def finish(team: Team, job: dict, began: float) -> int:
    """Wait for all, and let the leader leave the speed behind."""
    if team.size > 1:
        dist.barrier()
    if team.leads:
        speed = BATCH * job["steps"] / (time.perf_counter() - began)
        Path(job["folder"], "speed").write_text(str(speed))
    return 0


def measure(work: object, size: int, steps: int) -> float:
    """Return images per second of one training."""
    with tempfile.TemporaryDirectory() as folder:
        job = {"folder": folder, "steps": steps}
        devices = [torch.device("cpu")] * size
        if size == 1:
            # In a process of its own as well, so that both sizes start alike.
            context = torch.multiprocessing.get_context("spawn")
            process = context.Process(target=work, args=(Team(), devices[0], job))
            process.start()
            process.join()
        else:
            run_here(work, job, devices, 120)
        return float(Path(folder, "speed").read_text())


def main() -> None:
    """Measure all in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    subjects = {"iddm": ours, "plain DDP": peers}
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for size in (1, 2):
            for name, work in subjects.items():
                speed = measure(work, size, options.steps)
                found.setdefault((name, size), []).append(speed)
    speeds = {key: statistics.median(values) for key, values in found.items()}
    print("| processes | iddm, images/s | plain DDP, images/s | time, plain DDP = 1 |")
    print("|---|---|---|---|")
    for size in (1, 2):
        one, other = speeds["iddm", size], speeds["plain DDP", size]
        print(f"| {size} | {one:.1f} | {other:.1f} | {other / one:.3f} |")
    for name in subjects:
        print(f"2 processes of {name}: {speeds[name, 2] / speeds[name, 1]:.2f} times 1")
    if options.json:
        rows = [{"name": n, "processes": s, "speeds": v} for (n, s), v in found.items()]
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
