"""Training recipes: how good images are after the same time of training, one change at a time.

    python benchmarks/recipes.py --data FOLDER [--minutes 5] [--steps 390] [--json FILE]

The folder has train/ and test/ with one folder per class. Each recipe trains a network
of 64 channels with attention on a level, or another that its name says, with the other settings of
--profile, for about --minutes: a dry run predicts the time of a step, and that gives the number of
steps. --steps gives the number, for a machine that is not idle or not the one whose
minutes are meant. Then `iddm evaluate` compares generated images with the test images, at several
guidance scales. Rows that the file of --json holds already are not measured again, so a long
measurement can be interrupted and continued; `--table FILE` only prints the table of an earlier
call.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from reporting import (
    Tabulate,
    add_options,
    has_row,
    print_earlier_table,
    read_earlier_rows,
    save_rows,
)


def describe_width(width: int) -> dict[str, int]:
    """Return the settings of the section model for a U-Net so many channels wide."""
    groups = {64: 32, 48: 16}
    return {
        "base_channels": width, "head_channels": width, "norm_groups": groups.get(width, 8),
    }  # fmt: skip


def set_width(width: int) -> tuple[str, ...]:
    """Return the same settings, as --set takes them."""
    return tuple(f"model.{key}={value}" for key, value in describe_width(width).items())


ADAMW = ("training.optimizer=adamw", "training.lr=1e-3")
COSINE = (
    "diffusion.schedule=cosine", "diffusion.prediction=v", "diffusion.time_distribution=uniform",
)  # fmt: skip
PLAIN = (*ADAMW, *COSINE, "model.attention_levels=[1]", *set_width(64))
"""What every recipe but the profile's own, and changes of it, begins from."""

MUON = ("training.optimizer=muon",)
LOGIT = ("diffusion.time_distribution=logit-normal",)
FLOW = ("diffusion.schedule=flow", "diffusion.prediction=flow")
EDM = (
    "diffusion.schedule=edm", "diffusion.prediction=edm",
    "diffusion.time_distribution=log-normal",
)  # fmt: skip
NOISES = ("training.noise_candidates=4",)
FLOW_RECIPE = (*MUON, *FLOW, *LOGIT)
FASTER = (*FLOW_RECIPE, "training.lr=5e-3")
MIDDLE = ("model.attention_levels=[]",)
AS_PROFILE = "as the profile"
ONE_CHANGE: dict[str, tuple[str, ...]] = {
    "AdamW at 1e-3": ADAMW,
    "AdamW at 3e-3": (*ADAMW, "training.lr=3e-3"),
    "v-prediction, cosine": COSINE,
    "AdamW at 1e-3, v-prediction, cosine": (*ADAMW, *COSINE),
    "EDM": EDM,
    "uniform times": ("diffusion.time_distribution=uniform",),
    "pseudo-Huber": ("diffusion.loss=huber",),
    "4 noises": NOISES,
    "Muon 0.01": ("training.muon_lr=0.01",),
    "Muon 0.03": ("training.muon_lr=0.03",),
    "rate 1e-3": ("training.lr=1e-3",),
    "attention on a level": ("model.attention_levels=[1]",),
    "qk-norm": ("model.qk_norm=true",),
}  # fmt: skip
"""Changes of the profile's own recipe: one, or the two of the recipe before it."""

RECIPES: dict[str, tuple[str, ...]] = {
    "AdamW": (),
    "AdamW, min-SNR weights": ("diffusion.loss_weight=min_snr",),
    "AdamW, P2 weights": ("diffusion.loss_weight=p2",),
    "AdamW, pseudo-Huber": ("diffusion.loss=huber",),
    "AdamW, logit-normal times": LOGIT,
    "AdamW, EDM": EDM,
    "AdamW, flow": FLOW,
    "AdamW, zero terminal SNR": ("diffusion.zero_terminal_snr=true",),
    "AdamW, 4 noises": NOISES,
    "Muon": MUON,
    "Muon, logit-normal times": (*MUON, *LOGIT),
    "Muon, logit-normal times, P2 weights": (*MUON, *LOGIT, "diffusion.loss_weight=p2"),
    "Muon, logit-normal times, 4 noises": (*MUON, *LOGIT, *NOISES),
    "Muon, flow, logit-normal times": FLOW_RECIPE,
    "Muon, flow": (*MUON, *FLOW),
    "Muon, flow, logit-normal times, 4 noises": (*FLOW_RECIPE, *NOISES),
    "Muon 0.03, flow, logit-normal times": (*FLOW_RECIPE, "training.muon_lr=0.03"),
    "Muon 0.01, flow, logit-normal times": (*FLOW_RECIPE, "training.muon_lr=0.01"),
    "AdamW, flow, logit-normal times": (*FLOW, *LOGIT),
    "Muon, EDM": (*MUON, *EDM),
    "Muon, flow, logit-normal times, rate 3e-3": (*FASTER, "training.lr=3e-3"),
    "Muon, flow, logit-normal times, rate 5e-3": FASTER,
    "Muon, flow, logit-normal times, rate 1e-2": (*FASTER, "training.lr=1e-2"),
    "Muon 0.04, flow, logit-normal times": (*FLOW_RECIPE, "training.muon_lr=0.04"),
    "Muon, flow, logit-normal times, linear decay": (
        *FLOW_RECIPE, "training.lr_schedule=linear", "training.warmup_steps=10",
    ),
    "rate 5e-3, attention in the middle": (*FASTER, *MIDDLE),
    "48 wide": (*FLOW_RECIPE, *set_width(48)),
    "rate 5e-3, 48 wide": (*FASTER, *set_width(48)),
    "rate 1e-2, 48 wide": (*FASTER, "training.lr=1e-2", *set_width(48)),
    "rate 5e-3, 48 wide, Muon 0.012": (*FASTER, "training.muon_lr=0.012", *set_width(48)),
    **{
        f"rate 5e-3, attention in the middle, {width} wide": (
            *FASTER, *MIDDLE, *set_width(width),
        )
        for width in (48, 40, 24)
    },
    AS_PROFILE: (),
    **{f"{AS_PROFILE}, {name}": settings for name, settings in ONE_CHANGE.items()},
    "DDPM of 2020": (
        "training.optimizer=adam", "training.lr=2e-4", "training.lr_schedule=constant",
        "training.ema_decay=0.9999", "model.dropout=0.1", "model.conditioning=shift",
        "diffusion.schedule=linear", "diffusion.prediction=epsilon",
    ),
}  # fmt: skip
"""Settings that differ from the profile's, by the names that the table shows."""

COMMON = (
    "training.sample_every=0", "training.checkpoint_every=100000", "evaluation.loss_every=0",
)  # fmt: skip
KEYS = ("frechet", "mind", "agreement")


def run_iddm(*words: object, folder: Path) -> dict:
    """Run a command of iddm in a folder, and return the document that it prints."""
    command = [sys.executable, "-m", "iddm_cli", *map(str, words), "--json"]
    print("+ iddm", *map(str, words), file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stdout)
    return json.loads(done.stdout)


def get_budget(options: argparse.Namespace) -> dict:
    """Return what every recipe is given: steps, minutes, or steps that stand for minutes."""
    minutes = options.minutes or (5.0 if options.steps is None else None)
    budget = {"minutes": minutes, "steps": options.steps}
    return {key: value for key, value in budget.items() if value is not None}


def train_and_evaluate(
    run: str, words: Sequence[object], options: argparse.Namespace, folder: Path
) -> dict:
    """Train a run with options of `iddm train`; return steps, parameters and distances."""
    words = ["--data", options.data.resolve(), *words]
    for setting in COMMON:
        words += ["--set", setting]
    steps = options.steps
    plan = run_iddm("train", *words, "--steps", steps or 1000, "--dry-run", folder=folder)
    if steps is None:
        minutes = get_budget(options)["minutes"]
        steps = max(10, round(60 * minutes / plan["time"]["step_seconds"]))
    run = "-".join([*re.findall(r"\w+", run), str(steps)])
    run_iddm("train", *words, "--steps", steps, "--name", run, "--overwrite", folder=folder)
    found = {"steps": steps, "parameters": plan["parameters"]}
    found["images"] = steps * plan["profile"]["training"]["batch_size"]
    scales = ",".join(map(str, options.guidances))
    words = ["--sampler", "unipc", "--steps", options.calls, "--no-copies"]
    words += ["--count", options.count, "--guidance", scales]
    evaluation = run_iddm("evaluate", run, *words, folder=folder)
    for one in evaluation.get("evaluations", [evaluation]):
        guidance = one["settings"]["guidance"]
        found[f"guidance {guidance:g}"] = {key: one[key]["value"] for key in KEYS}
    return found


def collect_settings(name: str) -> tuple[str, ...]:
    """Return all settings of a recipe, as --set takes them."""
    base = () if name.startswith(AS_PROFILE) else PLAIN
    return (*base, *RECIPES[name])


def measure_recipe(name: str, seed: int, options: argparse.Namespace, folder: Path) -> dict:
    """Train a recipe with one seed, and return what was found."""
    words = ["--profile", options.profile, "--seed", seed]
    for setting in collect_settings(name):
        words += ["--set", setting]
    return train_and_evaluate(f"{name} {seed}", words, options, folder)


def measure(
    key: str,
    names: Sequence[str],
    measure_one: Callable[[str, int, argparse.Namespace, Path], dict],
    options: argparse.Namespace,
    budget: dict,
    folder: Path,
) -> list[dict]:
    """Return a row for each name and seed; each is saved as soon as it is measured."""
    rows = read_earlier_rows(options)
    for seed in options.seeds:
        for name in names:
            wanted = {key: name, "seed": seed, **budget}
            if not has_row(rows, wanted):
                rows.append({**wanted, **measure_one(name, seed, options, folder)})
                save_rows(rows, options)
    return rows


def list_guidances(rows: list[dict]) -> list[str]:
    """Return the guidance scales that all rows have, as keys."""
    scales = [key for key in rows[0] if key.startswith("guidance ")]
    return [key for key in scales if all(key in row for row in rows)]


def tabulate(rows: list[dict]) -> str:
    """Return a Markdown table: means over the seeds, and the least and the largest value."""
    has_minutes = any("minutes" in row for row in rows)
    titles = ["recipe", *(["minutes"] if has_minutes else []), "steps", "seeds"]
    guidances = list_guidances(rows)
    titles += [f"{what}, {key}" for key in guidances for what in ("Fréchet", "agreement")]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        minutes = row.get("minutes")
        groups.setdefault((row["recipe"], minutes or row["steps"]), []).append(row)
    for (name, _), own in groups.items():
        minutes = [f"{own[0].get('minutes', 0):g}"] if has_minutes else []
        steps = statistics.mean(row["steps"] for row in own)
        cells = [name, *minutes, f"{steps:.0f}", f"{len(own)}"]
        for key in guidances:
            found = [row[key] for row in own]
            distances = [one["frechet"] for one in found]
            spread = f" ({min(distances):.2f} to {max(distances):.2f})" if len(found) > 1 else ""
            cells.append(f"{statistics.mean(distances):.2f}{spread}")
            cells.append(f"{statistics.mean(one['agreement'] for one in found):.1%}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def add_training_options(parser: argparse.ArgumentParser, count: int, calls: int = 10) -> None:
    """Add the options that decide how long is trained, and on how many images."""
    parser.add_argument("--data", type=Path, help="folder with train/ and test/")
    parser.add_argument("--minutes", type=float, help="time of each training (default: 5)")
    parser.add_argument("--steps", type=int, help="the same steps for each")
    parser.add_argument("--count", type=int, default=count, help="images that are generated")
    parser.add_argument("--calls", type=int, default=calls, help="calls of the network an image")
    parser.add_argument("--seeds", type=read_numbers(int), default=(0, 1, 2))
    parser.add_argument("--guidances", type=read_numbers(float), default=(1, 1.5, 2))
    parser.add_argument("--work", type=Path, help="folder to work in, which is kept")
    add_options(parser)


def read_numbers(kind: type) -> Callable[[str], list]:
    """Return a function that reads numbers between commas."""
    return lambda text: [kind(part) for part in text.split(",")]


def run_comparison(
    options: argparse.Namespace,
    work: Callable[[Path], list[dict]],
    tabulate: Tabulate,
) -> None:
    """Print the table of earlier rows, or measure in the folder of --work or a temporary one."""
    if print_earlier_table(options, tabulate):
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(tabulate(work(folder)))


def main() -> None:
    """Measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="fashion-mnist")
    parser.add_argument("--recipe", choices=list(RECIPES), action="append")
    add_training_options(parser, count=1000)
    options = parser.parse_args()
    names, budget = options.recipe or list(RECIPES), get_budget(options)
    work = partial(measure, "recipe", names, measure_recipe, options, budget)
    run_comparison(options, work, tabulate)


if __name__ == "__main__":
    main()
