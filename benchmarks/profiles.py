"""Profiles: images, time, memory and distance of each, for the comments at their heads.

    python benchmarks/profiles.py --data FOLDER --json benchmarks/results/profiles.json
    python benchmarks/profiles.py --data FOLDER --train demo --json benchmarks/results/profiles.json
    python benchmarks/profiles.py --table benchmarks/results/profiles.json
    python benchmarks/profiles.py --heads benchmarks/results/profiles.json

FOLDER has grey/ and colour/, each with sub-folders of images of 256 pixels or more. The first
command makes a dry run of every profile, which gives time and memory. --train also trains the named
ones in full, and evaluates them. --heads writes what was found as the last line of each profile's
head.
"""

import argparse
import json
import platform
import re
from functools import partial
from pathlib import Path

from recipes import run_comparison, run_iddm
from reporting import add_options, read_earlier_rows, save_rows

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "smoke")
MARK = "# Measured"
OWN_DATA = ("demo",)
"""Profiles that need no folder."""

GREY = ("fashion-mnist", "neu-det", "neu-det-200", "small-set")
"""Profiles of grey images."""

BUILT_ON = {"photos-256": "autoencoder"}
"""The profile whose run a profile needs, as --set data.encoder takes it."""


COUNTS = {"cifar10": 50_000, "landscape": 4_000}
"""Training images that a profile is meant for, where it trains for a number of epochs."""

CHANGES = {"edm-2022": ("training.micro_batch=128",)}
"""Settings that change no result, without which a profile does not fit into 24 GB of memory."""


def describe_machine() -> str:
    """Return the processor's name, and the matrix units that it has."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    units = [unit for unit in ("amx_bf16", "avx512_bf16") if unit in text]
    return " with ".join([name[1] if name else platform.processor(), *units[:1]])


def plan(name: str, options: argparse.Namespace, folder: Path) -> dict:
    """Return time and memory of a profile by a dry run."""
    words = collect_words(name, options, folder)
    found = run_iddm("train", *words, "--dry-run", folder=folder)
    images = found["steps"] * found["profile"]["training"]["batch_size"]
    meant = COUNTS.get(name, 0) * (found["profile"]["training"]["epochs"] or 0) or images
    return {
        "profile": name,
        "machine": describe_machine(),
        "device": found["device"],
        "parameters": found["parameters"],
        "images": meant,
        "seconds": found["time"]["total_seconds"] * meant / images,
        "memory": found["memory_bytes"],
        "is_trained": False,
    }


def collect_words(name: str, options: argparse.Namespace, folder: Path) -> list[object]:
    """Return the options of `iddm train` for a profile."""
    words: list[object] = ["--profile", name]
    if name not in OWN_DATA:
        data = options.data.resolve() / ("grey" if name in GREY else "colour")
        words += ["--data", data]
    words += [word for setting in CHANGES.get(name, ()) for word in ("--set", setting)]
    if name in BUILT_ON:
        base = BUILT_ON[name]
        own = ("--profile", base, "--data", data, "--steps", 1)
        small = ("--set", "training.batch_size=1", "--set", "training.sample_every=0")
        run_iddm("train", *own, *small, "--name", base, "--overwrite", folder=folder)
        words += ["--set", f"data.encoder={base}"]
    return words


def train(name: str, options: argparse.Namespace, folder: Path) -> dict:
    """Train a profile in full, and return what its images are like beside its earlier row."""
    planned = [row for row in read_earlier_rows(options) if row["profile"] == name]
    row = planned[0] if planned else plan(name, options, folder)
    words = collect_words(name, options, folder)
    run_iddm("train", *words, "--name", name, "--overwrite", folder=folder)
    found = run_iddm("evaluate", name, "--no-copies", folder=folder)
    numbers = {key: found[key] for key in ("frechet", "mind", "agreement") if key in found}
    return {**row, "is_trained": True, "compared": found["counts"], **numbers}


def measure(options: argparse.Namespace, folder: Path) -> list[dict]:
    """Return the rows of all profiles; each is saved as soon as it is measured."""
    rows = read_earlier_rows(options)
    for name in options.train or options.plan or NAMES:
        row = (train if options.train else plan)(name, options, folder)
        rows = sorted([*(one for one in rows if one["profile"] != name), row], key=by_time)
        save_rows(rows, options)
    return rows


def by_time(row: dict) -> float:
    """Return what the rows are sorted by."""
    seconds: float = row["seconds"]
    return seconds


def show_time(seconds: float) -> str:
    """Return a duration in words."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def describe(row: dict) -> str:
    """Return what was found, as the last line of a profile's head."""
    cost = f"{row['images']:,} images, {show_time(row['seconds'])}, {row['memory'] / 1e9:.1f} GB"
    cost += "".join(f" with {setting}" for setting in CHANGES.get(row["profile"], ()))
    cores = re.sub(r"\D", "", row["device"])
    place = f"{cores} cores of an {row['machine'].replace(' with ', ', ')}"
    if not row["is_trained"]:
        return f"{MARK} (dry run, {place}): {cost}."
    distance = row["frechet"]
    quality = f"Fréchet {distance['value']:.2f}, real images {distance['floor']:.2f}"
    return f"{MARK} ({place}): {cost}; {quality}."


def wrap_comment(line: str, width: int = 100) -> str:
    """Return a comment of several lines, each short enough."""
    lines, words = [], line.split()
    while words:
        taken = [words.pop(0)] if not lines else ["#", words.pop(0)]
        while words and len(" ".join([*taken, words[0]])) <= width:
            taken.append(words.pop(0))
        lines.append(" ".join(taken))
    return "\n".join(lines)


def write_head(text: str, row: dict) -> str:
    """Return a profile with what was measured as the end of its head."""
    lines = text.splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    head = lines[:end]
    marks = [number for number, line in enumerate(head) if line.startswith(MARK)]
    head = head[: marks[0]] if marks else head
    return "\n".join([*head, wrap_comment(describe(row)), *lines[end:], ""])


def write_heads(rows: list[dict]) -> None:
    """Write the heads of all profiles anew."""
    for row in rows:
        path = CONFIGS / f"{row['profile']}.yaml"
        path.write_text(write_head(path.read_text(), row))


def tabulate(rows: list[dict]) -> str:
    """Return a Markdown table."""
    lines = [
        "| profile | parameters | images trained on | time | memory | Fréchet | of real images |",
        "|---" * 7 + "|",
    ]
    for row in rows:
        distance = row.get("frechet", {})
        numbers = [f"{distance[key]:.2f}" if distance else "-" for key in ("value", "floor")]
        cells = [row["profile"], f"{row['parameters'] / 1e6:.1f} M", f"{row['images']:,}"]
        cells += [show_time(row["seconds"]), f"{row['memory'] / 1e9:.1f} GB", *numbers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with grey/ and colour/")
    parser.add_argument("--train", choices=NAMES, action="append", help="train this one in full")
    parser.add_argument("--plan", choices=NAMES, action="append", help="dry runs of these alone")
    parser.add_argument("--heads", type=Path, help="write the profiles' heads from these rows")
    parser.add_argument("--work", type=Path, help="folder to work in, which is kept")
    add_options(parser)
    options = parser.parse_args()
    if options.heads:
        write_heads(json.loads(options.heads.read_text()))
        return
    run_comparison(options, partial(measure, options), tabulate)


if __name__ == "__main__":
    main()
