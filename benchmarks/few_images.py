"""Few images: small sets, a rare class, and a class that is added to a trained run.

    python benchmarks/few_images.py small [--seeds 0,1] [--json FILE]
    python benchmarks/few_images.py rare [--seeds 0,1] [--json FILE]
    python benchmarks/few_images.py added [--seeds 0,1] [--json FILE]

All on drawn steel defects of six kinds: those of the profile `demo` at other indices, with grain,
and with brightness and contrast that vary.

    small   30 images of each kind, faint and grainy; how many generated ones are copies, and
            whether they help a classifier (`iddm evaluate --usefulness`)
    rare    200 images of five kinds and 10 of the sixth; by data.balance
    added   a run on five kinds gets the sixth with 20 images (`iddm train --from`), compared with a
            training of the same length on all six from scratch, and with the run itself

In `rare` and `added`, generated images are compared with 200 new drawings of each kind, in the
features of one network, which has seen no training image of the runs.
"""

import argparse
import hashlib
import statistics
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from recipes import add_training_options, measure, run_comparison, run_iddm, set_width

SIDE = 32
NEW = 500_000
"""Index of the first drawing that no training set has."""

RARE = "scratches"
COMMON = (
    "training.sample_every=0", "training.checkpoint_every=50", "evaluation.loss_every=0",
    "data.augment=off",
)  # fmt: skip
SAMPLING = ("--sampler", "unipc", "--steps", 10, "--guidance", 1.25)
GRAINY = ("--sampler", "unipc", "--steps", 30, "--guidance", 1)
"""Sampling of faint defects: 10 calls leave out much of their grain."""

AT_SIDE = (
    f"data.image_size={SIDE}", "training.sample_every=0", "training.checkpoint_every=100",
)  # fmt: skip
LARGER = ("model.attention_levels=[1]", *set_width(48))
COSINE = ("diffusion.schedule=cosine", "diffusion.prediction=v")
SMALL: dict[str, tuple[str, ...]] = {
    "small-set": (),
    "small-set, without augmentation": ("data.augment=off",),
    "48 wide": LARGER,
    "48 wide, v-prediction": (*LARGER, *COSINE),
    "48 wide, v-prediction, rate 1e-3": (*LARGER, *COSINE, "training.lr=1e-3"),
}
BALANCES = {f"balance {value}": (f"data.balance={value}",) for value in ("0", "0.5", "1")}
FIVE, SCRATCH = "the run, on five kinds", "all six from scratch"
ADDED: dict[str, tuple[str, ...]] = {
    FIVE: (),
    SCRATCH: ("data.balance=0.5",),
    "all six from the run": ("data.balance=0.5",),
    "all six from the run, adapters of rank 8": ("data.balance=0.5", "training.lora_rank=8"),
}
STEPS = 200
NUMBERS = ("frechet", "mind", "agreement")


def draw_defect(kind: str, index: int, *, faint: bool, side: int) -> Image.Image:
    """Return a drawing with grain, in a light of its own; a faint one is hard to recognise."""
    from iddm_cli.data.sources.demo_images import render_demo_image

    rng = np.random.default_rng([index, zlib.crc32(kind.encode())])
    clean = np.asarray(render_demo_image(kind, NEW + index, height=side, width=side), np.float32)
    light = 255 * (clean / 255) ** rng.uniform(0.7, 1.4)
    contrast, grain = (rng.uniform(0.15, 0.4), 30) if faint else (rng.uniform(0.8, 1), 5)
    grey = 128 + contrast * (light - 128) if faint else contrast * light
    pixels = grey + rng.normal(0, grain, clean.shape)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def draw_set(
    folder: Path, counts: dict[str, int], first: int, *, faint: bool = False, side: int = SIDE
) -> Path:
    """Draw so many images of each kind, with indices from `first` on."""
    for kind, count in counts.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for index in range(first, first + count):
            draw_defect(kind, index, faint=faint, side=side).save(folder / kind / f"{index}.png")
    return folder


def list_kinds() -> tuple[str, ...]:
    """Return the names of the six kinds."""
    from iddm_cli.data.sources.demo_images import DEMO_CLASSES

    return DEMO_CLASSES


def train(
    run: str, profile: str, data: Path, settings: Sequence[str], *words: object, folder: Path
) -> dict:
    """Train a run."""
    options = [word for setting in settings for word in ("--set", setting)]
    words = (*words, "--profile", profile, "--data", data.resolve(), *options)
    return run_iddm("train", *words, "--name", run, "--overwrite", folder=folder)


def name_run(*parts: object) -> str:
    """Return a name that files may have."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def measure_small(arm: str, seed: int, options: argparse.Namespace, folder: Path) -> dict:
    """Train on 30 images of each kind, and look for copies and usefulness."""
    kinds, data = list_kinds(), folder / f"small-{seed}"
    draw_set(data / "train", dict.fromkeys(kinds, 30), 1000 * seed, faint=True)
    draw_set(data / "test", dict.fromkeys(kinds, 100), NEW, faint=True)
    run = name_run("small", arm, seed)
    words: tuple[object, ...] = ("--steps", options.steps) if options.steps else ()
    trained = train(
        run, "small-set", data, (*AT_SIDE, *SMALL[arm]), "--seed", seed, *words, folder=folder
    )
    words = (*GRAINY, "--checkpoint", "best", "--count", options.count, "--usefulness")
    found = run_iddm("evaluate", run, *words, folder=folder)
    usefulness = found["usefulness"]
    accuracies = {one["name"]: one["accuracy"]["value"] for one in usefulness.pop("arms")}
    numbers = {key: found[key] for key in (*NUMBERS, "copies", "copies_in_features")}
    steps = {"steps": trained["steps"], "best": found["settings"]["step"]}
    return {**steps, **numbers, "usefulness": usefulness, "accuracies": accuracies}


def compare_kinds(run: str, count: int, kinds: Sequence[str], folder: Path) -> dict:
    """Generate so many images of each kind, and compare them with new drawings."""
    out = f"{run}-{len(kinds)}"
    words = [word for kind in kinds for word in ("--class", kind)]
    words += ["--count", count, "--out", out, "--overwrite"]
    run_iddm("generate", run, *SAMPLING, *words, folder=folder)
    real = draw_set(folder / f"new-{len(kinds)}", dict.fromkeys(kinds, 200), NEW)
    words = ["--against", real.resolve(), "--no-copies"]
    return run_iddm("evaluate", folder.resolve() / out, *words, folder=folder)


def take_numbers(found: dict) -> dict:
    """Return the numbers of the table, of an evaluation or of one of its classes."""
    return {key: found[key]["value"] for key in NUMBERS if key in found}


def measure_rare(arm: str, seed: int, options: argparse.Namespace, folder: Path) -> dict:
    """Train with one rare kind, and compare each kind with new drawings."""
    kinds = list_kinds()
    counts = {kind: 10 if kind == RARE else 200 for kind in kinds}
    data = draw_set(folder / f"rare-{seed}", counts, 1000 * seed)
    run = name_run("rare", arm, seed)
    steps = options.steps or STEPS
    train(run, "demo", data, (*COMMON, *BALANCES[arm]), "--seed", seed, "--steps", steps,
          folder=folder)  # fmt: skip
    found = compare_kinds(run, options.count // len(kinds), kinds, folder)
    old = [found["classes"][kind]["mind"]["value"] for kind in kinds if kind != RARE]
    numbers = {"all": take_numbers(found), RARE: take_numbers(found["classes"][RARE])}
    return {"steps": steps, **numbers, "other kinds": {"mind": statistics.mean(old)}}


def measure_added(arm: str, seed: int, options: argparse.Namespace, folder: Path) -> dict:
    """Train a run on five kinds, or on six from it or from scratch, and compare."""
    kinds = list_kinds()
    five = tuple(kind for kind in kinds if kind != RARE)
    data = draw_set(folder / f"five-{seed}", dict.fromkeys(five, 200), 1000 * seed)
    words: list[object] = ["--seed", seed, "--steps", STEPS]
    if arm != FIVE:
        data = draw_set(folder / f"six-{seed}", dict.fromkeys(five, 200), 1000 * seed)
        draw_set(data, {RARE: 20}, 1000 * seed)
        words[-1] = options.steps or STEPS // 2
        if arm != SCRATCH:
            words += ["--from", name_run("added", FIVE, seed)]
    run = name_run("added", arm, seed)
    train(run, "demo", data, (*COMMON, *ADDED[arm]), *words, folder=folder)
    count = options.count // len(kinds)
    row = {"steps": words[3], "other kinds": take_numbers(compare_kinds(run, count, five, folder))}
    if arm != FIVE:
        found = compare_kinds(run, count, kinds, folder)
        row |= {"all": take_numbers(found), RARE: take_numbers(found["classes"][RARE])}
    return row


PARTS: dict[str, tuple[dict, Callable[..., dict]]] = {
    "small": (SMALL, measure_small),
    "rare": (BALANCES, measure_rare),
    "added": (ADDED, measure_added),
}


def tabulate(rows: list[dict]) -> str:
    """Return a Markdown table of one part: means over the seeds."""
    columns = SMALL_COLUMNS if "usefulness" in rows[0] else KIND_COLUMNS
    columns = {
        title: read for title, read in columns.items() if any(read(row) is not None for row in rows)
    }
    lines = [f"| | seeds | steps | {' | '.join(columns)} |", "|---" * (3 + len(columns)) + "|"]
    for name in dict.fromkeys(row["arm"] for row in rows):
        own = [row for row in rows if row["arm"] == name]
        steps = "{:.0f}".format(statistics.mean(row["steps"] for row in own))
        cells = [show(title, [read(row) for row in own]) for title, read in columns.items()]
        lines.append(f"| {' | '.join([name, str(len(own)), steps, *cells])} |")
    return "\n".join(lines)


def show(title: str, values: list) -> str:
    """Return what several seeds have found: a mean, or the words of each."""
    if None in values:
        return "-"
    if isinstance(values[0], str):
        return ", ".join(values)
    mean = statistics.mean(values)
    return f"{mean:.2f}" if "MIND" in title or "Fréchet" in title else f"{mean:.1%}"


SMALL_COLUMNS: dict[str, Callable[[dict], object]] = {
    "Fréchet": lambda row: row["frechet"]["value"],
    "MIND": lambda row: row["mind"]["value"],
    "agreement": lambda row: row["agreement"]["value"],
    "copies": lambda row: row["copies"]["value"],
    "copies, held-out": lambda row: row["copies"]["floor"],
    "gain in accuracy": lambda row: row["usefulness"]["gain"]["value"],
    "at least": lambda row: row["usefulness"]["gain"]["low"],
    "at most": lambda row: row["usefulness"]["gain"]["high"],
    "verdict": lambda row: row["usefulness"]["verdict"],
}
KIND_COLUMNS: dict[str, Callable[[dict], object]] = {
    f"{RARE}: MIND": lambda row: row.get(RARE, {}).get("mind"),
    "agreement": lambda row: row.get(RARE, {}).get("agreement"),
    "other kinds: MIND": lambda row: row["other kinds"]["mind"],
    "other kinds: Fréchet": lambda row: row["other kinds"].get("frechet"),
}


def main() -> None:
    """Measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--arm", action="append")
    add_training_options(parser, count=600)
    options = parser.parse_args()
    arms, measure_one = PARTS[options.part]
    names = options.arm or list(arms)
    run_comparison(options, partial(measure, "arm", names, measure_one, options, {}), tabulate)


if __name__ == "__main__":
    main()
