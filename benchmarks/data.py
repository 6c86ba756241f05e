"""Feeding a training: pictures in a second, and memory, beside torchvision's ImageFolder.

Both read the same folder of PNG files, in shuffled batches of 64, with two processes that decode.
The first epoch of ours includes listing, checking, decoding and packing; theirs includes starting
its workers, as does each later epoch unless persistent_workers is set, which it is here. Each
measurement has a process of its own. Nothing is trained: an epoch only fetches every batch.

    python benchmarks/data.py [--sizes 1000 10000 60000] [--side 32] [--json FILE]
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

BATCH = 64
WORKERS = 2
LATER_EPOCHS = 3
CLASSES = 10


def draw(folder: Path, count: int, side: int) -> None:
    """Draw pictures with some structure, so that PNG has something to do."""
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[0:side, 0:side] / side
    for i in range(count):
        rng = np.random.default_rng(i)
        waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(0, 9, (3, 3))]
        pixels = 127 + 100 * np.stack(waves, -1) + rng.normal(0, 5, (side, side, 3))
        path = folder / f"class{i % CLASSES}" / f"{i:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def resident() -> float:
    """Return the resident memory of this process, in MB, without what its children use."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def timed_epochs(epochs: Iterator[object], count: int) -> dict[str, float]:
    """Take one epoch after the other from an iterator, and time each."""
    began = time.perf_counter()
    next(epochs)
    first = time.perf_counter() - began
    before = resident()
    began = time.perf_counter()
    for _ in range(LATER_EPOCHS):
        next(epochs)
    later = (time.perf_counter() - began) / LATER_EPOCHS
    return {
        "first": count / first,
        "later": count / later,
        "resident_mb": max(before, resident()),
    }


def iddm_epochs(folder: Path, side: int) -> Iterator[None]:
    """Fetch every batch of an epoch, as a training does."""
    import torch

    from iddm_cli.build.data import build_loader
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_source
    from iddm_cli.profiles.profile import Profile

    data = {"path": str(folder), "image_size": side, "workers": WORKERS}
    profile = Profile.model_validate({"data": data, "training": {"batch_size": BATCH}})
    packed = build_pack(open_source(str(folder), size=(side, side)), profile.data)
    batches = build_loader(profile.resolve(packed.channels), packed, torch.device("cpu"))
    slots = torch.arange(BATCH)
    step = 0
    while True:
        for _ in range(len(batches) // BATCH):
            batches.load_batch(step, slots)
            step += 1
        yield


def torchvision_epochs(folder: Path, side: int) -> Iterator[None]:
    """Fetch every batch of an epoch, as the usual training script does."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    change = transforms.Compose(
        [transforms.Resize(side), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    )
    loader = DataLoader(
        datasets.ImageFolder(folder, change),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    while True:
        for _ in loader:
            pass
        yield


def measure(what: str, folder: Path, count: int, side: int) -> dict[str, float]:
    """Measure one of the two; runs in a process of its own."""
    import torch
    import torchvision  # noqa: F401 - imported here, so that importing is not measured

    import iddm_cli.build  # noqa: F401

    torch.set_num_threads(1)
    epochs = {"iddm": iddm_epochs, "torchvision": torchvision_epochs}[what]
    iterator = epochs(folder, side)
    figures = timed_epochs(iterator, count)
    iterator.close()
    return figures


def alone(what: str, folder: Path, count: int, side: int) -> dict[str, float]:
    """Measure in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, what, folder, count, side).result()


def table(rows: list[dict[str, float]]) -> str:
    """Lay out the figures as a Markdown table."""
    lines = [
        "| pictures | first epoch: iddm | ImageFolder | later epochs: iddm | ImageFolder "
        "| ratio | resident MB: iddm | ImageFolder |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, theirs = row["iddm"], row["torchvision"]
        lines.append(
            f"| {row['count']:,} | {ours['first']:,.0f} | {theirs['first']:,.0f} "
            f"| {ours['later']:,.0f} | {theirs['later']:,.0f} "
            f"| {ours['later'] / theirs['later']:.0f} "
            f"| {ours['resident_mb']:.0f} | {theirs['resident_mb']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure all sizes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 60_000])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for count in options.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["IDDM_CACHE_DIR"] = f"{scratch}/cache"
            folder = Path(scratch, "pictures")
            draw(folder, count, options.side)
            row = {
                what: alone(what, folder, count, options.side) for what in ("torchvision", "iddm")
            }
            rows.append({"count": count, **row})
            print(f"measured {count}", file=sys.stderr)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
