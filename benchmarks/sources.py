"""Sharded sources: the index of millions of images, and the speed of packing from shards.

    python benchmarks/sources.py [--entries 1000000 10000000] [--images 5000] [--side 64]

Index: tar shards of 10,000 tiny images each, all of them names of one file, so that ten million
take no disk. Measured are the listing at the first use, opening the dataset later in a new process,
its memory, and finding the images of a batch of 256.

Packing: the same PNG files in a folder, in tar shards and in Parquet, each packed with an empty
cache by two processes, in turns, of which the fastest is taken; beside them an epoch of the loaders
of webdataset and of datasets with two processes, if they are installed, which decode and resize the
same images. Each measurement runs in a new process.
"""

import argparse
import io
import json
import multiprocessing
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import reporting
from data import CLASSES, WORKERS, create_images, resident_mb

SHARD = 10_000
PACKED_SHARD = 500
BATCH = 256
BATCHES = 20


def peak_mb() -> float:
    """Return the peak of the resident memory of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file to a tar."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def create_tiny_shards(folder: Path, entries: int) -> None:
    """Create shards of tiny images, which are names of one file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    folder.mkdir()
    first = folder / "00000.tar"
    with tarfile.open(first, "w") as archive:
        for i in range(min(SHARD, entries)):
            add_file(archive, f"{i:06d}.png", stream.getvalue())
            add_file(archive, f"{i:06d}.cls", str(i % CLASSES).encode())
    for number in range(1, entries // SHARD):
        os.link(first, folder / f"{number:05d}.tar")


def open_index(folder: Path) -> dict[str, float]:
    """Open a dataset and find the images of some batches."""
    import torch

    import iddm_cli.build.data  # noqa: F401 - so that the measurement excludes the import
    from iddm_cli.data.loader.batch_loader import BatchLoader
    from iddm_cli.data.sources.registry import open_source
    from iddm_cli.engine import randomness

    before = resident_mb()
    started = time.perf_counter()
    source = open_source(str(folder), size=(8, 8))
    opened = time.perf_counter() - started
    opened_mb = peak_mb() - before
    loader = BatchLoader(
        source,  # type: ignore[arg-type] # of which only the number of images is asked
        torch.empty(0),
        batch_size=BATCH,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=len(source)),
    )
    slots = torch.arange(BATCH)
    started = time.perf_counter()
    loader.indices(0, slots)
    shuffled = time.perf_counter() - started
    started = time.perf_counter()
    for step in range(BATCHES):
        index = loader.indices(step, slots).tolist()
        _ = [(source.image(i), source.labels[i]) for i in index]
    batch = (time.perf_counter() - started) / BATCHES
    return {
        "open_s": opened,
        "open_mb": opened_mb,
        "order_s": shuffled,
        "batch_ms": 1000 * batch,
        "memory_mb": peak_mb() - before,
    }


def list_index(folder: Path) -> dict[str, float]:
    """List a dataset for the first time."""
    from iddm_cli.data.sources.registry import open_source

    started = time.perf_counter()
    source = open_source(str(folder), size=(8, 8))
    seconds = time.perf_counter() - started
    return {"entries": len(source), "list_s": seconds}


def measure_index(entries: int, scratch: Path) -> dict[str, float]:
    """Measure the index of some million images."""
    folder = scratch / "tiny"
    create_tiny_shards(folder, entries)
    listed = run_apart(list_index, folder)
    files = (scratch / "cache" / "indices").rglob("*.*")
    size = sum(path.stat().st_size for path in files if path.is_file())
    return {"kind": "index", **listed, "disk_mb": size / 1e6, **run_apart(open_index, folder)}


def create_shards(folder: Path, tars: Path, table: Path) -> None:
    """Write the images of a folder as tar shards and as Parquet, in the same order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = sorted(folder.rglob("*.png"))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    names = sorted({path.parent.name for path in paths})
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    tars.mkdir()
    table.mkdir()
    for number, start in enumerate(range(0, len(paths), PACKED_SHARD)):
        part = paths[start : start + PACKED_SHARD]
        with tarfile.open(tars / f"{number:05d}.tar", "w") as archive:
            for path in part:
                add_file(archive, f"{path.stem}.png", path.read_bytes())
                add_file(archive, f"{path.stem}.cls", str(names.index(path.parent.name)).encode())
        images = [{"bytes": path.read_bytes(), "path": path.name} for path in part]
        labels = [names.index(path.parent.name) for path in part]
        rows = pa.table({"image": pa.array(images, kind), "label": labels})
        pq.write_table(
            rows.replace_schema_metadata(metadata), table / f"{number:05d}.parquet",
            row_group_size=100,
        )  # fmt: skip


def pack(folder: Path, side: int) -> int:
    """Pack a dataset with iddm."""
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_source
    from iddm_cli.profiles.settings import DataSettings

    settings = DataSettings(path=str(folder), image_size=side, workers=WORKERS, held_out=0)
    return build_pack(open_source(str(folder), size=(side, side)), settings).count


def prepare(image: object, side: int) -> object:
    """Decode and resize an image as a training script does."""
    import numpy as np

    return np.asarray(image.convert("RGB").resize((side, side)))  # type: ignore[attr-defined]


def load_webdataset(folder: Path, side: int) -> int:
    """Load an epoch with the loader of webdataset."""
    import webdataset as wds

    shards = sorted(map(str, folder.glob("*.tar")))
    dataset = wds.WebDataset(shards, shardshuffle=False, workersplitter=wds.split_by_worker)
    dataset = dataset.decode("pil").to_tuple("png", "cls")
    dataset = dataset.map_tuple(lambda image: prepare(image, side), int)
    loader = wds.WebLoader(
        dataset, batch_size=64, num_workers=WORKERS, multiprocessing_context="fork"
    )
    return sum(len(labels) for _, labels in loader)


def load_datasets(folder: Path, side: int) -> int:
    """Load an epoch with datasets and the loader of PyTorch."""
    import datasets
    from torch.utils.data import DataLoader

    files = sorted(map(str, folder.glob("*.parquet")))
    dataset = datasets.load_dataset("parquet", data_files=files, split="train")
    dataset.set_transform(
        lambda rows: {
            "image": [prepare(image, side) for image in rows["image"]],
            "label": rows["label"],
        }
    )
    loader = DataLoader(dataset, batch_size=64, num_workers=WORKERS, multiprocessing_context="fork")
    return sum(len(batch["label"]) for batch in loader)


def time_load(load: Callable[[Path, int], int], folder: Path, side: int) -> float:
    """Return the images per second of a loader, after its imports."""
    import torch

    import iddm_cli.build.data  # noqa: F401

    names = {load_webdataset: "webdataset", load_datasets: "datasets"}
    if load in names:
        __import__(names[load])
    elif folder.name == "parquet":
        __import__("pyarrow.parquet")
    torch.set_num_threads(1)
    started = time.perf_counter()
    count = load(folder, side)
    return count / (time.perf_counter() - started)


def measure_packing(count: int, side: int, rounds: int, scratch: Path) -> dict[str, float]:
    """Return the images per second of each source and loader, the best of some rounds."""
    folder, tars, table = (scratch / name for name in ("folder", "tars", "parquet"))
    create_images(folder, count, side)
    create_shards(folder, tars, table)
    subjects: dict[str, tuple[Callable[[Path, int], int], Path]] = {
        "folder": (pack, folder),
        "tar": (pack, tars),
        "parquet": (pack, table),
    }
    if find_spec("webdataset"):
        subjects["webdataset"] = (load_webdataset, tars)
    if find_spec("datasets"):
        os.environ["HF_DATASETS_CACHE"] = str(scratch / "cache" / "huggingface")
        subjects["datasets"] = (load_datasets, table)
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, (load, place) in subjects.items():
            shutil.rmtree(scratch / "cache", ignore_errors=True)
            rate = run_apart(time_load, load, place, side)
            best[name] = max(best.get(name, 0.0), rate)
    return {"kind": "packing", "images": count, "side": side, **best}


def run_apart(work: Callable, *arguments: object):
    """Return what a function returns in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def tabulate(rows: list[dict]) -> str:
    """Return the figures as Markdown tables."""
    lines = [
        "| images | listed once in | index on disk | opened in | memory | a batch of 256 in |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['entries']:,} | {row['list_s']:.0f} s | {row['disk_mb']:.0f} MB "
        f"| {row['open_s']:.2f} s | {row['memory_mb']:.0f} MB | {row['batch_ms']:.1f} ms |"
        for row in rows
        if row["kind"] == "index"
    ]
    for row in (row for row in rows if row["kind"] == "packing"):
        lines += ["", "| source | images per second | of the folder's |", "|---|---|---|"]
        rates = {name: row[name] for name in row if name not in ("kind", "images", "side")}
        lines += [
            f"| {name} | {rate:,.0f} | {rate / row['folder']:.2f} |" for name, rate in rates.items()
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure indices and packing, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--images", type=int, default=5000, help="0 skips packing")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    reporting.add_options(parser)
    options = parser.parse_args()
    if reporting.print_earlier_table(options, tabulate):
        return
    rows = []
    for entries in options.entries:
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["IDDM_CACHE_DIR"] = f"{scratch}/cache"
            rows.append(measure_index(entries, Path(scratch)))
            print(f"measured {entries:,} entries", file=sys.stderr)
    if options.images:
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["IDDM_CACHE_DIR"] = f"{scratch}/cache"
            rows.append(
                measure_packing(options.images, options.side, options.rounds, Path(scratch))
            )
    reporting.report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
