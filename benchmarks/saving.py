"""Saving: how long training pauses for a checkpoint, with iddm and with torch.save.

    python benchmarks/saving.py [--rounds 9] [--base-channels 64] [--folder DIR] [--json FILE]

Saves the same tensors (weights, EMA and optimizer) in four ways, alternating between them: in the
background, as iddm does (a copy, and a thread that writes); the same files synchronously; with
torch.save to the final path, as most trainers do; and with torch.save and a flush to disk. Only the
first lets training continue during the write. The script also times training steps with and without
a concurrent checkpoint write.
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
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine import randomness
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import Trainer
from iddm_cli.profiles.profile import ResolvedProfile

BATCH, SIZE, IMAGES = 8, 16, 64


def build_trainer(folder: Path, base_channels: int) -> Trainer:
    """Return a trainer after one update, so that the optimizer has its state."""
    profile = ResolvedProfile.model_validate(
        {
            "data": {"channels": 3, "image_size": SIZE},
            "model": {"base_channels": base_channels},
            "training": {"batch_size": BATCH, "steps": 10**6, "epochs": None},
        }
    )
    loader = BatchLoader(
        MemoryStore(torch.zeros(IMAGES, 3, SIZE, SIZE, dtype=torch.uint8)),
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
    )
    trainer = Trainer(
        train_step, checkpoints=CheckpointFolder(folder / "checkpoints", Retention(2))
    )
    trainer.train_step.update(0)
    return trainer


def save_in_background(trainer: Trainer) -> None:
    """Save as iddm does in training; a thread still writes when this returns."""
    trainer.save()


def save_synchronously(trainer: Trainer) -> None:
    """Save the same files, and wait until they are on disk."""
    state: dict[str, object] = {"bits": {}, "scaler": {}}
    trainer.checkpoints.save(trainer.step, trainer.state.tensors(), state)


def save_with_torch(trainer: Trainer, *, flush: bool = False) -> None:
    """Save with torch.save to the final path."""
    path = trainer.checkpoints.path.parent / "last.pt"
    with path.open("wb") as handle:
        torch.save(trainer.state.tensors(), handle)
        if flush:
            handle.flush()
            os.fsync(handle.fileno())


METHODS: dict[str, Callable[[Trainer], None]] = {
    "in the background": save_in_background,
    "synchronously": save_synchronously,
    "torch.save": save_with_torch,
    "torch.save, flushed": lambda trainer: save_with_torch(trainer, flush=True),
}


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(trainer: Trainer, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every pause, every training step, and every background save."""
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    seconds |= {"a step": [], "a step while saving": [], "until on disk": []}
    for _ in range(rounds):
        for name, save in METHODS.items():
            trainer.state.step += 1
            started = time.perf_counter()
            save(trainer)
            seconds[name].append(time.perf_counter() - started)
            if name == "in the background":
                during = time_call(lambda: trainer.train_step.update(1))
                seconds["a step while saving"].append(during)
                trainer.writer.wait()
                seconds["until on disk"].append(time.perf_counter() - started)
        seconds["a step"].append(time_call(lambda: trainer.train_step.update(1)))
    return seconds


def main() -> None:
    """Measure every method and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--base-channels", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="folder on the disk to measure")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        trainer = build_trainer(Path(folder), options.base_channels)
        seconds = measure(trainer, options.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    count = sum(p.numel() for p in trainer.train_step.denoiser.parameters())
    print(f"{count / 1e6:.1f} M parameters, {16 * count / 1e6:.0f} MB; medians of {options.rounds}")
    print("| method | pause of training, synchronous save = 1 |")
    print("|---|---|")
    for name in METHODS:
        print(f"| {name} | {medians[name] / medians['synchronously']:.3f} |")
    slowed = medians["a step while saving"] / medians["a step"]
    print(f"training step during a background save: {slowed:.2f} times another step")
    print(f"checkpoint on disk after: {medians['until on disk'] / medians['synchronously']:.2f}")
    if options.json:
        options.json.write_text(json.dumps(seconds, indent=1))


if __name__ == "__main__":
    main()
