"""Prediction: time and peak memory of trainings as `iddm train --dry-run` predicts them.

    python benchmarks/prediction.py [--case NAME] [--seconds 30] [--json FILE]

For each case, a dry run predicts how long a training takes and how much memory; then the training
is run, and both are measured: time between the first and the last line of its log, and peak
resident memory of its process (on Linux). Steps are chosen so that each training takes about
--seconds. Run it on an otherwise idle machine; it takes about six minutes on two cores.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from reporting import add_options, print_earlier_table, report_rows

COMMON = ("--set", "training.sample_count=1", "--set", "training.sample_every=0",
          "--set", "training.warmup_steps=0", "--set", "sampling.steps=10")  # fmt: skip

CASES = {
    "smoke": ("--profile", "smoke"),
    "demo": ("--profile", "demo"),
    "demo, fp32, batch 128": (
        "--profile", "demo", "--batch-size", "128", "--set", "runtime.precision=fp32",
    ),
    "fashion-mnist": ("--profile", "fashion-mnist", "--data", "demo"),
    "cifar10, batch 16": (
        "--profile", "cifar10", "--data", "demo", "--batch-size", "16", "--set", "data.channels=3",
    ),
    "neu-det, 64 x 64, batch 8": ("--profile", "neu-det", "--data", "demo", "--batch-size", "8"),
}  # fmt: skip
"""Profiles and sizes, by the names that the table shows."""

FEWEST, MOST = 5, 5000


def run_iddm(*words: str) -> dict:
    """Run iddm, and return the document that it prints."""
    command = [sys.executable, "-m", "iddm_cli", *words, "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def plan(case: tuple[str, ...], steps: int) -> dict:
    """Return the plan of a training of so many steps."""
    return run_iddm("train", *case, *COMMON, "--steps", str(steps), "--dry-run")


def choose_steps(case: tuple[str, ...], seconds: float) -> int:
    """Return about how many steps a training makes in so many seconds."""
    times = plan(case, 1000)["time"]
    between = times["total_seconds"] - times["parts"]["steps"]
    steps = (seconds - between) / times["step_seconds"]
    return max(FEWEST, min(MOST, round(steps)))


def train(case: tuple[str, ...], steps: int) -> tuple[float, int]:
    """Train, and return the seconds that it took, and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", *case, *COMMON, "--steps", str(steps), "--name", "run"]
        command = [sys.executable, "-m", "iddm_cli", *words, "--runs-dir", folder]
        printed, log = Path(folder, "printed"), Path(folder, "run", "log.txt")
        with printed.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
            peak = watch_memory(process, log)
        if process.returncode:
            raise SystemExit(printed.read_text())
        lines = log.read_text().splitlines()
    started, ended = (datetime.fromisoformat(line.split()[0]) for line in (lines[0], lines[-1]))
    return (ended - started).total_seconds(), peak


def watch_memory(process: subprocess.Popen, log: Path) -> int:
    """Wait for a training, and return the most memory that it held until it was finished.

    When the process ends, destructors of PyTorch read 100 MB of its library, which count as
    resident, but could be dropped at any time.
    """
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            finished = log.exists() and "finished at step" in log.read_text()
            for line in status.splitlines():
                if line.startswith("VmHWM:") and not finished:
                    peak = max(peak, 1024 * int(line.split()[1]))
        time.sleep(0.05)
    return peak


def measure(case: tuple[str, ...], seconds: float) -> dict[str, float]:
    """Return what was predicted and measured of a case."""
    steps = choose_steps(case, seconds)
    predicted = plan(case, steps)
    took, peak = train(case, steps)
    return {
        "steps": steps,
        "parameters": predicted["parameters"],
        "precision": predicted["precision"],
        "predicted_seconds": predicted["time"]["total_seconds"],
        "measured_seconds": took,
        "time_ratio": predicted["time"]["total_seconds"] / took,
        "predicted_bytes": predicted["memory_bytes"],
        "measured_bytes": peak,
        "memory_ratio": predicted["memory_bytes"] / peak,
    }


def tabulate(rows: list[dict]) -> str:
    """Return a Markdown table."""
    titles = ["case", "steps", "time: predicted", "measured", "ratio"]
    titles += ["memory: predicted", "measured", "ratio"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        times = f"{row['predicted_seconds']:.0f} s | {row['measured_seconds']:.0f} s"
        sizes = f"{row['predicted_bytes'] / 1e9:.2f} GB | {row['measured_bytes'] / 1e9:.2f} GB"
        lines.append(
            f"| {row['case']} | {row['steps']} | {times} | {row['time_ratio']:.2f} "
            f"| {sizes} | {row['memory_ratio']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure the cases, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--seconds", type=float, default=30.0)
    add_options(parser)
    options = parser.parse_args()
    if print_earlier_table(options, tabulate):
        return
    rows = []
    for name in options.case or CASES:
        rows.append({"case": name, **measure(CASES[name], options.seconds)})
        print(rows[-1], file=sys.stderr)
    report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
