"""Data loading: images per second and memory, compared with torchvision's ImageFolder.

    python benchmarks/data.py [--sizes 1000 10000 60000] [--side 32] [--json FILE]

Both read the same folder of PNG files, in shuffled batches of 64, with two decoding processes.
Nothing is trained: an epoch only loads every batch. The first epoch of iddm includes listing,
checking and decoding the files and building the cache. The first epoch of ImageFolder includes
starting its workers, which persistent_workers keeps for later epochs. Each measurement runs in a
new process.
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


def create_images(folder: Path, count: int, side: int) -> None:
    """Create images with some structure, so that compressing them takes typical time."""
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


def resident_mb() -> float:
    """Return the resident memory of this process in MB, without its child processes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def time_epochs(epochs: Iterator[object], count: int) -> dict[str, float]:
    """Time the first epoch, and the mean of the later ones, in images per second."""
    started = time.perf_counter()
    next(epochs)
    first = time.perf_counter() - started
    before = resident_mb()
    started = time.perf_counter()
    for _ in range(LATER_EPOCHS):
        next(epochs)
    later = (time.perf_counter() - started) / LATER_EPOCHS
    return {
        "first": count / first,
        "later": count / later,
        "resident_mb": max(before, resident_mb()),
    }


def iddm_epochs(folder: Path, side: int) -> Iterator[None]:
    """Load every batch of each epoch, as iddm does in training."""
    import torch

    from iddm_cli.build.data import build_loader
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_source
    from iddm_cli.profiles.profile import Profile

    data = {"path": str(folder), "image_size": side, "workers": WORKERS}
    profile = Profile.model_validate({"data": data, "training": {"batch_size": BATCH}})
    pack = build_pack(open_source(str(folder), size=(side, side)), profile.data)
    loader = build_loader(profile.resolve(pack.channels), pack, torch.device("cpu"))
    slots = torch.arange(BATCH)
    step = 0
    while True:
        for _ in range(len(loader) // BATCH):
            loader.load_batch(step, slots)
            step += 1
        yield


def torchvision_epochs(folder: Path, side: int) -> Iterator[None]:
    """Load every batch of each epoch, as a typical training script does."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [transforms.Resize(side), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    )
    loader = DataLoader(
        datasets.ImageFolder(folder, transform),
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


def measure(subject: str, folder: Path, count: int, side: int) -> dict[str, float]:
    """Measure one of the two in this process."""
    import torch
    import torchvision  # noqa: F401 - so that the measurement excludes the import

    import iddm_cli.build  # noqa: F401

    torch.set_num_threads(1)
    epochs = {"iddm": iddm_epochs, "torchvision": torchvision_epochs}[subject]
    iterator = epochs(folder, side)
    figures = time_epochs(iterator, count)
    iterator.close()
    return figures


def measure_in_new_process(subject: str, folder: Path, count: int, side: int) -> dict[str, float]:
    """Measure one of the two in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, subject, folder, count, side).result()


def format_table(rows: list[dict[str, float]]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| images | first epoch: iddm | ImageFolder | later epochs: iddm | ImageFolder "
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
            folder = Path(scratch, "images")
            create_images(folder, count, options.side)
            row = {
                subject: measure_in_new_process(subject, folder, count, options.side)
                for subject in ("torchvision", "iddm")
            }
            rows.append({"count": count, **row})
            print(f"measured {count}", file=sys.stderr)
    print(format_table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
