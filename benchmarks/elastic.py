"""Elastic training: a machine leaves a run under torchrun, comes back, and leaves again.

    python benchmarks/elastic.py [--steps 400]

Two agents of torchrun on loopback, with one process each, stand for two machines; each has an
address of its own. This script keeps the rendezvous, like a third machine that stays. Agent 2 is
killed with its process in mid-run. When agent 1 has made progress alone, agent 2 joins again, and
its process becomes the main process. Then agent 1's process is killed alone.

Afterwards the run is compared with an undisturbed one of one process, and beside it an undisturbed
one of two processes: rounding that differs grows with the steps.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file
from torch.distributed import TCPStore

PROFILE = (
    "train", "--profile", "smoke", "--set", "training.checkpoint_every=10",
    "--set", "training.log_every=1", "--set", "training.sample_count=0",
    "--set", "runtime.threads=1", "--set", "runtime.timeout=60", "--device", "cpu",
)  # fmt: skip
RENDEZVOUS = "is_host=0,keep_alive_interval=1,keep_alive_max_attempt=3,last_call_timeout=2"
WAIT = 120


def start_agent(folder: Path, number: int, port: int, address: str, steps: int) -> psutil.Popen:
    """Start torchrun as one machine of one or two."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes", "1:2", "--nproc-per-node", "1",
        "--max-restarts", "9", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}",
        "--rdzv-id", "elastic", "--rdzv-conf", RENDEZVOUS, "--local-addr", address,
        "-m", "iddm_cli", *PROFILE, "--steps", str(steps), "--name", "elastic",
    ]  # fmt: skip
    env = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", **os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    with (folder / f"agent-{number}.log").open("ab") as log:
        return psutil.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )


def read_rows(run: Path) -> list[dict[str, float]]:
    """Return the recorded metrics of a run, without a line that is being written."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_for_steps(run: Path, more: int, processes: int) -> int:
    """Wait until so many more steps are recorded by so many processes; return the step."""
    until = time.monotonic() + WAIT
    first = None
    while time.monotonic() < until:
        manifest = run / "run.json"
        if manifest.exists():
            document = json.loads(manifest.read_text())
            rows = read_rows(run)
            if document.get("world_size") == processes and document["state"] == "running" and rows:
                first = rows[-1]["step"] if first is None else first
                if rows[-1]["step"] >= first + more:
                    return int(rows[-1]["step"])
        time.sleep(0.05)
    raise SystemExit(f"no progress with {processes} processes in {WAIT} seconds")


def kill(process: psutil.Process) -> None:
    """Kill a process and its children, as a machine that loses its power does."""
    for one in [process, *process.children(recursive=True)]:
        one.kill()


def compare(run: Path, whole: Path, steps: int) -> dict[str, float | bool]:
    """Compare a finished run with an undisturbed one."""
    last = f"checkpoints/step-{steps:08d}/model.safetensors"
    ours, theirs = load_file(run / last), load_file(whole / last)
    apart = max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)
    largest = max(float(tensor.abs().max()) for tensor in theirs.values())
    rows, others = read_rows(run), read_rows(whole)
    losses = [abs(a["loss"] / b["loss"] - 1) for a, b in zip(rows, others, strict=True)]
    return {
        "each step recorded once": [row["step"] for row in rows] == list(range(1, steps + 1)),
        "largest difference of a weight": apart,
        "largest weight": largest,
        "largest relative difference of a loss": max(losses),
    }


def disturb(scratch: Path, steps: int) -> None:
    """Train under two agents, of which one leaves and comes back."""
    store = TCPStore("127.0.0.1", 0, None, True, timedelta(seconds=WAIT), wait_for_workers=False)
    run, port = scratch / "runs" / "elastic", store.port
    clock = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - clock:6.1f} s  {what}", flush=True)

    first = start_agent(scratch, 1, port, "127.0.0.2", steps)
    second = start_agent(scratch, 2, port, "127.0.0.3", steps)
    tell(f"step {wait_for_steps(run, 40, 2)} with two processes; agent 2 is killed")
    kill(second)
    tell(f"step {wait_for_steps(run, 40, 1)} with one process; agent 2 comes back")
    second = start_agent(scratch, 2, port, "127.0.0.1", steps)
    tell(f"step {wait_for_steps(run, 40, 2)} with two processes; agent 1's process is killed")
    for worker in first.children():
        worker.kill()
    codes = first.wait(WAIT), second.wait(WAIT)
    tell(f"the end; exit codes {codes}")


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for name, devices in (("one-process", "1"), ("two-processes", "2")):
            words = [*PROFILE, "--steps", str(steps), "--name", name]
            command = [sys.executable, "-m", "iddm_cli", *words, "--devices", devices]
            subprocess.run(command, cwd=scratch, check=True)
        try:
            disturb(scratch, steps)
        except BaseException:
            for log in sorted(scratch.glob("agent-*.log")):
                print(log.name, log.read_text()[-6000:], sep="\n")
            for child in psutil.Process().children(recursive=True):
                child.kill()
            raise
        runs = scratch / "runs"
        for name in ("elastic", "two-processes"):
            for what, value in compare(runs / name, runs / "one-process", steps).items():
                print(f"{name}, {what}: {value}")


if __name__ == "__main__":
    main()
