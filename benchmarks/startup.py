"""Start-up: whole commands beside `python -c "import torch"`.

    python benchmarks/startup.py [--rounds 5] [--json FILE]

Each round runs every command once, in a process of its own; a run of two steps of the profile
`smoke` is trained first. The table has medians, relative to `import torch`.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reporting import add_options, print_earlier_table, report_rows

IDDM = [sys.executable, "-m", "iddm_cli"]
COMMANDS: dict[str, list[str]] = {
    "import torch": [sys.executable, "-c", "import torch"],
    "iddm --help": [*IDDM, "--help"],
    "iddm runs": [*IDDM, "runs"],
    "iddm generate, 16 images in one step": [
        *IDDM, "generate", "first", "--count", "16", "--steps", "1", "--out", "images",
        "--overwrite",
    ],
    "iddm train, one step": [
        *IDDM, "train", "--profile", "smoke", "--steps", "1", "--name", "second", "--overwrite",
    ],
}  # fmt: skip
"""The commands, by what the table calls them."""


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command; return its wall-clock and its CPU seconds."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used


def measure(rounds: int) -> list[dict[str, object]]:
    """Run all commands in turn; return the medians of each."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run([*IDDM, "train", "--profile", "smoke", "--steps", "2", "--name", "first"], folder)
        for number in range(rounds + 1):
            for name, command in COMMANDS.items():
                times = run(command, folder)
                if number > 0:  # the first round compiles the modules
                    found[name].append(times)
    return [
        {
            "command": name,
            "seconds": statistics.median(wall for wall, _ in times),
            "cpu_seconds": statistics.median(cpu for _, cpu in times),
        }
        for name, times in found.items()
    ]


def tabulate(rows: list[dict]) -> str:
    """Return the table: relative to `import torch`."""
    torch = rows[0]
    lines = ["| | time | CPU time |", "|---|---|---|"]
    lines += [
        f"| `{row['command']}` | {row['seconds'] / torch['seconds']:.2f} "
        f"| {row['cpu_seconds'] / torch['cpu_seconds']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    add_options(parser)
    options = parser.parse_args()
    if print_earlier_table(options, tabulate):
        return
    rows = measure(options.rounds)
    report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
