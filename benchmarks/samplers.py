"""Samplers: how good the images of a trained run are, by sampler and number of network calls.

    python benchmarks/samplers.py RUN... [--runs-dir DIR] [--samplers ddim,unipc] [--calls 5,10]

Evaluates each run with each sampler at each number of calls (`iddm evaluate`), and with ddpm at all
timesteps, which the others are compared with. Runs of several training seeds are averaged. Rows
that the file of --json holds already are not measured again, so a long measurement can be
interrupted and continued. Prints a table of Fréchet distances and one of MIND, each divided by that
of ddpm; `--table FILE` only does that, from the rows of an earlier call, and with `--plot IMAGE` it
draws them.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from plotting import Panel, draw
from reporting import (
    add_options,
    has_row,
    print_earlier_table,
    read_earlier_rows,
    save_rows,
)

SAMPLERS = (
    "euler", "ddim", "heun", "dpm2", "plms", "ipndm", "dpmpp-2m", "dpmpp-3m", "dpmpp-2m-sde",
    "unipc", "ddpm",
)  # fmt: skip
CALLS = (4, 5, 6, 8, 10, 15, 20, 50)
ANCESTRAL = ("ddpm", 1000)
"""What all are compared with."""

SETTINGS = ("time_grid", "guidance", "seed", "count")
KEYS = ("frechet", "mind", "agreement")
NAMES = {"frechet": "Fréchet distance", "mind": "MIND"}
LEVELS = (0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4)
"""Where a plot has lines."""


def evaluate(
    run: str, samplers: Sequence[str], calls: int, options: argparse.Namespace
) -> list[dict]:
    """Return the rows of a run, several samplers and a number of calls."""
    words = ["evaluate", run, "--sampler", ",".join(samplers), "--steps", str(calls)]
    words += ["--no-copies"]
    words += ["--count", str(options.count), "--seed", str(options.seed), "--json"]
    if options.runs_dir:
        words += ["--runs-dir", str(options.runs_dir)]
    for name in ("guidance", "time_grid", "precision", "batch_size"):
        if getattr(options, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    print("+ iddm", *words, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "iddm_cli", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout)
    return [
        {
            "run": run,
            "sampler": found["settings"]["sampler"],
            "calls": calls,
            **{key: getattr(options, key) for key in SETTINGS},
            **{key: found[key]["value"] for key in KEYS},
        }
        for found in answer.get("evaluations", [answer])
    ]


def measure(options: argparse.Namespace) -> list[dict]:
    """Return all rows; those of a run and a number of calls are saved as soon as they are there."""
    rows = read_earlier_rows(options)
    settings = {key: getattr(options, key) for key in SETTINGS}
    choices: list[tuple[Sequence[str], int]] = [
        (options.samplers, calls) for calls in options.calls
    ]
    choices += [((ANCESTRAL[0],), ANCESTRAL[1])] * options.ancestral
    for samplers, calls in choices:
        for run in options.run:
            wanted = {"run": run, "calls": calls, **settings}
            missing = [one for one in samplers if not has_row(rows, {**wanted, "sampler": one})]
            if missing:
                rows += evaluate(run, missing, calls, options)
                save_rows(rows, options)
    return rows


def tabulate(rows: list[dict]) -> str:
    """Return a table for each of Fréchet distance and MIND."""
    return "\n\n".join(_tabulate_one(rows, key) for key in NAMES)


def _tabulate_one(rows: list[dict], key: str) -> str:
    base = find_mean(rows, key, *ANCESTRAL)
    columns = list_calls(rows)
    title = NAMES[key] + (f", {ANCESTRAL[0]} with {ANCESTRAL[1]} calls = 1" if base else "")
    lines = [
        f"| {title} | " + " | ".join(map(str, columns)) + " |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for sampler in list_samplers(rows):
        found = [find_mean(rows, key, sampler, calls) for calls in columns]
        cells = ["" if value is None else f"{value / (base or 1):.2f}" for value in found]
        lines.append(f"| {sampler} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def find_mean(rows: list[dict], key: str, sampler: str, calls: int) -> float | None:
    """Return the mean over the runs; None where nothing was measured."""
    own = [row[key] for row in rows if (row["sampler"], row["calls"]) == (sampler, calls)]
    return statistics.mean(own) if own else None


def list_calls(rows: list[dict]) -> list[int]:
    """Return the numbers of calls that were measured, without that of ddpm."""
    return sorted({row["calls"] for row in rows} - {ANCESTRAL[1]})


def list_samplers(rows: list[dict]) -> list[str]:
    """Return the samplers that were measured, ddpm only if it was at fewer calls too."""
    return list(dict.fromkeys(row["sampler"] for row in rows if row["calls"] != ANCESTRAL[1]))


def list_panels(rows: list[dict]) -> list[Panel]:
    """Return a plot for each of Fréchet distance and MIND, relative to ddpm."""
    calls = list_calls(rows)
    panels = []
    for key, name in NAMES.items():
        base = find_mean(rows, key, *ANCESTRAL) or 1
        curves = {
            sampler: [
                (number, value / base)
                for number in calls
                if (value := find_mean(rows, key, sampler, number)) is not None
            ]
            for sampler in list_samplers(rows)
        }
        highest = max(value for points in curves.values() for _, value in points)
        levels = {level: f"{level:g}" for level in LEVELS if level < 1.3 * highest}
        title = f"{name.replace('é', 'e')}, ddpm with 1,000 calls = 1"  # the font has no é
        panels.append(Panel(title, curves, calls, levels))
    return panels


def main() -> None:
    """Measure, save the rows and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="*", help="trained runs, such as three seeds of one profile")
    parser.add_argument("--runs-dir", type=Path)
    parser.add_argument("--samplers", type=lambda text: text.split(","), default=SAMPLERS)
    parser.add_argument(
        "--calls", type=lambda text: [int(part) for part in text.split(",")], default=CALLS
    )
    parser.add_argument("--time-grid")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--precision")
    parser.add_argument("--batch-size", type=int, help="large ones suit a GPU")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-ancestral", dest="ancestral", action="store_false")
    add_options(parser)
    parser.add_argument("--plot", type=Path, help="file for plots of the rows of --table")
    options = parser.parse_args()
    if options.plot and options.table:
        draw(list_panels(json.loads(options.table.read_text()))).save(options.plot, optimize=True)
        return
    if print_earlier_table(options, tabulate):
        return
    if not options.run:
        parser.error("name at least one run")
    print(tabulate(measure(options)))


if __name__ == "__main__":
    main()
