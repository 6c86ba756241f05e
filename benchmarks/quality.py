"""Quality: what `iddm evaluate` says of a run as it trains, and of a run that trains for too long.

    python benchmarks/quality.py progress --data FOLDER --json FILE
    python benchmarks/quality.py memorisation --data FOLDER --json FILE

The folder has train/ and test/ with one folder per class. `progress` trains three seeds and
evaluates each at 10, 30 and 100 % of its steps against the test images. `memorisation` trains a few
classes of 30 images each for far too long, with and without early stop, and evaluates on the way.
Both print a table in Markdown; `--table FILE` only does that, from the JSON of an earlier call.
"""

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

from reporting import add_options, print_earlier_table, report_rows

IDDM = (sys.executable, "-m", "iddm_cli")
SEEDS = (0, 1, 2)
STEPS = 600
SHARES = (0.1, 0.3, 1.0)
SAMPLING = ("--sampler", "dpmpp-2m", "--steps", "12")
CLASSES, PER_CLASS = 3, 30
LONG = 3000
LOSS_EVERY = 50
LOOKS = (100, 250, 500, 1000, 2000, 3000)
KEYS = ("mind", "frechet", "agreement", "copies")


def run_iddm(*words: object, folder: Path) -> str:
    """Run a command of iddm in a folder, and return what it printed to standard output."""
    command = [*IDDM, *map(str, words)]
    print("+ iddm", *map(str, words), file=sys.stderr, flush=True)
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def evaluate(folder: Path, name: str, steps: Sequence[int], count: int) -> list[dict]:
    """Return the evaluations of a run at some steps."""
    words = ("--checkpoint", ",".join(map(str, steps)), *SAMPLING, "--count", count, "--json")
    content = json.loads(run_iddm("evaluate", name, *words, folder=folder))
    return content.get("evaluations", [content])


def held_out_losses(folder: Path, name: str) -> dict[int, tuple[float, float]]:
    """Return the held-out loss, and that of as many training images, by step."""
    lines = (folder / "runs" / name / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {
        row["step"]: (row["held_out_loss"], row["training_loss"])
        for row in rows
        if row.get("held_out_loss") is not None
    }


def nearest(losses: dict[int, tuple[float, float]], step: int) -> tuple[float, float]:
    """Return the losses that were measured nearest to a step."""
    return losses[min(losses, key=lambda known: abs(known - step))] if losses else (math.nan,) * 2


def measure_progress(data: Path, folder: Path) -> list[dict]:
    """Train each seed and evaluate it on the way; return a row for each seed and step."""
    steps = [round(share * STEPS) for share in SHARES]
    rows = []
    for seed in SEEDS:
        name = f"seed-{seed}"
        every = math.gcd(*steps)
        if not (folder / "runs" / name).exists():  # in a folder of --work it may
            run_iddm(
                "train", "--profile", "fashion-mnist", "--data", data, "--name", name,
                "--seed", seed, "--steps", STEPS, "--set", f"training.checkpoint_every={every}",
                "--set", f"training.keep_every={every}", "--set", "evaluation.loss_every=60",
                folder=folder,
            )  # fmt: skip
        losses = held_out_losses(folder, name)
        for step, found in zip(steps, evaluate(folder, name, steps, 1000), strict=True):
            held_out, training = nearest(losses, step)
            numbers = {key: found[key] for key in KEYS}
            rows.append({"seed": seed, "step": step, "held_out_loss": held_out,
                         "training_loss": training, **numbers})  # fmt: skip
    return rows


def copy_few(data: Path, target: Path) -> None:
    """Copy a few classes, of each 30 training images and all test images."""
    for name in sorted(path.name for path in (data / "train").iterdir())[:: 10 // CLASSES][
        :CLASSES
    ]:
        images = sorted((data / "train" / name).iterdir())[:PER_CLASS]
        (target / "train" / name).mkdir(parents=True)
        for image in images:
            shutil.copy(image, target / "train" / name)
        shutil.copytree(data / "test" / name, target / "test" / name)


def measure_memorisation(data: Path, folder: Path) -> list[dict]:
    """Train for far too long; return a row for each step that was evaluated."""
    copy_few(data, folder / "few")
    train = (
        "train", "--profile", "fashion-mnist", "--data", "few", "--steps", LONG,
        "--set", "model.base_channels=48", "--set", "model.norm_groups=16",
        "--set", "model.head_channels=48",
        "--set", "training.batch_size=32", "--set", "training.lr_schedule=constant",
        "--set", "training.sample_every=0", "--set", "training.checkpoint_every=50",
        "--set", f"evaluation.loss_every={LOSS_EVERY}",
    )  # fmt: skip
    stop = ("--set", "training.stop_when=held_out_worse", "--set", "evaluation.patience=4")
    stopped = json.loads(run_iddm(*train, *stop, "--name", "stopped", "--json", folder=folder))
    run_iddm(*train, "--set", "training.keep_every=50", "--name", "long", folder=folder)
    losses = held_out_losses(folder, "long")
    best = min(losses, key=lambda step: losses[step][0])
    rows = []
    for step, found in zip(LOOKS, evaluate(folder, "long", LOOKS, 300), strict=True):
        held_out, training = nearest(losses, step)
        rows.append({"step": step, "held_out_loss": held_out, "training_loss": training,
                     "best_step": best, "stopped_at": stopped["step"],
                     **{key: found[key] for key in KEYS}})  # fmt: skip
    return rows


def tabulate_progress(rows: Sequence[dict]) -> str:
    """Return the table of `progress`: means over the seeds, with the least and the largest."""
    titles = ("steps", "held-out loss", "MIND", "Fréchet", "agreement", "copies")
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for step in dict.fromkeys(row["step"] for row in rows):
        own = [row for row in rows if row["step"] == step]
        cells = [format_spread([row["held_out_loss"] for row in own], ".4f")]
        for key, form in zip(KEYS, (".2f", ".2f", ".1%", ".1%"), strict=True):
            cells.append(format_spread([row[key]["value"] for row in own], form))
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
    first = rows[0]
    floors = " | ".join(
        format(first[key]["floor"], form) if first[key].get("floor") is not None else ""
        for key, form in zip(KEYS, (".2f", ".2f", ".1%", ".1%"), strict=True)
    )
    return "\n".join([*lines, f"| real images |  | {floors} |"])


def tabulate_memorisation(rows: Sequence[dict]) -> str:
    """Return the table of `memorisation`."""
    lines = [
        "| steps | loss, training images | loss, held-out images | copies | MIND |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['step']} | {row['training_loss']:.4f} | {row['held_out_loss']:.4f} | "
        f"{row['copies']['value']:.1%} | {row['mind']['value']:.2f} |"
        for row in rows
    ]
    first = rows[0]
    note = (
        f"The held-out loss is lowest at step {first['best_step']}. With "
        "`training.stop_when: held_out_worse` and `evaluation.patience: 4` the run ended at step "
        f"{first['stopped_at']}. Of held-out images, {first['copies']['floor']:.1%} are called "
        "copies."
    )
    return "\n".join([*lines, "", textwrap.fill(note, 100, break_on_hyphens=False)])


def format_spread(values: Sequence[float], form: str) -> str:
    """Return the mean, and the least and the largest value in brackets."""
    mean = statistics.mean(values)
    return f"{mean:{form}} ({min(values):{form}} to {max(values):{form}})"


MEASURES = {
    "progress": (measure_progress, tabulate_progress),
    "memorisation": (measure_memorisation, tabulate_memorisation),
}


def main() -> None:
    """Measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/")
    add_options(parser)
    parser.add_argument("--work", type=Path, help="folder to work in, which is kept")
    options = parser.parse_args()
    measure, tabulate = MEASURES[options.measure]
    if print_earlier_table(options, tabulate):
        return
    if options.data is None:
        parser.error("--data is needed")
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        rows = measure(options.data.resolve(), work)
    report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
