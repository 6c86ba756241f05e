"""Saving: how long training stands still for a checkpoint, in the background and otherwise.

The same tensors (weights, average and optimizer) are saved in four ways, in turn: as iddm does, a
copy and a thread that writes; as iddm writes, but waiting for it; by torch.save into place, as
most trainers do; and by torch.save, flushed to the disk. Only the first lets training go on.
Besides, whole steps are timed with and without a checkpoint being written behind them.

    python benchmarks/saving.py [--rounds 9] [--base-channels 64] [--folder DIR] [--json FILE]
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.checkpoints.folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine import randomness
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import Trainer
from iddm_cli.profiles.profile import ResolvedProfile

BATCH, SIZE, PICTURES = 8, 16, 64


def make(folder: Path, base_channels: int) -> Trainer:
    """Return a trainer with one update done, so that the optimizer has its state."""
    profile = ResolvedProfile.model_validate(
        {
            "data": {"channels": 3, "image_size": SIZE},
            "model": {"base_channels": base_channels},
            "training": {"batch_size": BATCH, "steps": 10**6, "epochs": None},
        }
    )
    batches = BatchLoader(
        MemoryStore(torch.zeros(PICTURES, 3, SIZE, SIZE, dtype=torch.uint8)),
        torch.zeros(PICTURES, dtype=torch.int64),
        batch_size=BATCH,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=PICTURES),
    )
    train_step = TrainStep(
        build_denoiser(profile, 0),
        batches,
        profile.training,
        times="stratified",
        precision="fp32",
        num_classes=0,
        numerics={},
    )
    trainer = Trainer(
        train_step, checkpoints=CheckpointFolder(folder / "checkpoints", Retention(2))
    )
    trainer.train_step.update(0)
    return trainer


def in_background(trainer: Trainer) -> None:
    """Save as training does: the thread goes on when this returns."""
    trainer.save()


def waiting(trainer: Trainer) -> None:
    """Save the same files, and wait for them."""
    state: dict[str, object] = {"bits": {}, "scaler": {}}
    trainer.checkpoints.save(trainer.step, trainer.state.tensors(), state)


def plain(trainer: Trainer, *, flushed: bool = False) -> None:
    """Save by torch.save, into place."""
    path = trainer.checkpoints.path.parent / "last.pt"
    with path.open("wb") as handle:
        torch.save(trainer.state.tensors(), handle)
        if flushed:
            handle.flush()
            os.fsync(handle.fileno())


WAYS: dict[str, Callable[[Trainer], None]] = {
    "in the background": in_background,
    "waiting for the same files": waiting,
    "torch.save": plain,
    "torch.save, flushed": lambda trainer: plain(trainer, flushed=True),
}


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(trainer: Trainer, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that training stands still, and those of a step."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    seconds |= {"a step": [], "a step while saving": [], "until safe": []}
    for _ in range(rounds):
        for name, save in WAYS.items():
            trainer.state.step += 1
            began = time.perf_counter()
            save(trainer)
            seconds[name].append(time.perf_counter() - began)
            if name == "in the background":
                during = timed(lambda: trainer.train_step.update(1))
                seconds["a step while saving"].append(during)
                trainer.writer.wait()
                seconds["until safe"].append(time.perf_counter() - began)
        seconds["a step"].append(timed(lambda: trainer.train_step.update(1)))
    return seconds


def main() -> None:
    """Measure all in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--base-channels", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to be measured")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        trainer = make(Path(folder), options.base_channels)
        found = measure(trainer, options.rounds)
    typical = {name: statistics.median(taken) for name, taken in found.items()}
    count = sum(p.numel() for p in trainer.train_step.denoiser.parameters())
    print(f"{count / 1e6:.1f} M parameters, {16 * count / 1e6:.0f} MB; medians of {options.rounds}")
    print("| way | training stands still, waiting = 1 |")
    print("|---|---|")
    for name in WAYS:
        print(f"| {name} | {typical[name] / typical['waiting for the same files']:.3f} |")
    slowed = typical["a step while saving"] / typical["a step"]
    print(f"a step while a checkpoint is written takes {slowed:.2f} of one without")
    print(f"safe after {typical['until safe'] / typical['waiting for the same files']:.2f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
