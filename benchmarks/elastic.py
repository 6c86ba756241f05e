"""Elastic training: a machine leaves a run under torchrun, comes back, and leaves again.

    python benchmarks/elastic.py [--steps 600]

Two network namespaces, joined by a third one with a bridge in it, stand for two machines; each runs
torchrun with one process. The third keeps the rendezvous, like a machine that stays. In mid-run
machine 2, which has the main process, loses its power: its cable is cut, so that no connection is
closed, and its processes are killed. When machine 1 has made progress alone, machine 2 joins again,
and has the main process again. Then machine 1's process is killed alone. Namespaces need Linux,
root and iproute2; with --loopback, both machines are addresses of one, and only processes die.

Afterwards the run is compared with an undisturbed one of one process: digests of the images, noise,
times and labels of each step (`batch_digests.py`), and the weights; and beside it an undisturbed
one of two processes: rounding that differs grows with the steps.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from batch_digests import read_digests
from safetensors.torch import load_file

PROFILE = (
    "train", "--profile", "smoke", "--set", "training.checkpoint_every=10",
    "--set", "training.log_every=1", "--set", "training.sample_count=0",
    "--set", "runtime.threads=1", "--set", "runtime.timeout=30", "--device", "cpu",
)  # fmt: skip
RENDEZVOUS = "is_host=0,keep_alive_interval=1,keep_alive_max_attempt=3,last_call_timeout=2"
STORE = """
import time, torch.distributed as d
store = d.TCPStore("0.0.0.0", 29400, is_master=True, wait_for_workers=False)
time.sleep(1e8)
"""
RECORDER = Path(__file__).with_name("batch_digests.py")
WAIT = 120


@dataclass(frozen=True)
class Machine:
    """A machine of the run.

    Attributes:
        name: Name of its network namespace; "" on loopback.
        address: Its address.
        cable: Its network interface.
    """

    name: str
    address: str
    cable: str

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that runs on it."""
        return ["ip", "netns", "exec", self.name] if self.name else []

    def set_cable(self, state: str) -> None:
        """Cut its cable (down), or mend it (up)."""
        if self.name:
            ip("-n", self.name, "link", "set", self.cable, state)


def ip(*words: str) -> None:
    """Configure the network."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def make_machines(*, loopback: bool) -> Iterator[list[Machine]]:
    """Make a machine that keeps the rendezvous, and two that train.

    torchrun gives the main process to the lowest address: that of the second one.
    """
    if loopback:
        yield [Machine("", f"127.0.0.{i}", "lo") for i in (1, 3, 2)]
        return
    tag = os.getpid() % 10**6
    hub = Machine(f"hub{tag}", "10.78.0.1", "bridge")
    others = [Machine(f"m{i}-{tag}", f"10.78.0.{4 - i}", f"c{i}-{tag}") for i in (1, 2)]
    with contextlib.ExitStack() as stack:
        for machine in (hub, *others):
            ip("netns", "add", machine.name)
            stack.callback(ip, "netns", "del", machine.name)
            ip("-n", machine.name, "link", "set", "lo", "up")
        ip("-n", hub.name, "link", "add", "name", "bridge", "type", "bridge")
        for machine in others:
            port = f"p{machine.cable}"
            ip("link", "add", machine.cable, "type", "veth", "peer", "name", port)
            ip("link", "set", machine.cable, "netns", machine.name)
            ip("link", "set", port, "netns", hub.name)
            ip("-n", hub.name, "link", "set", port, "master", "bridge")
            ip("-n", hub.name, "link", "set", port, "up")
        for machine in (hub, *others):
            address = f"{machine.address}/24"
            ip("-n", machine.name, "addr", "add", address, "dev", machine.cable)
            machine.set_cable("up")
        yield [hub, *others]


def start_agent(folder: Path, machine: Machine, hub: Machine, steps: int) -> psutil.Popen:
    """Start torchrun on a machine, as one of one or two."""
    command = [
        *machine.prefix, sys.executable, "-m", "torch.distributed.run", "--nnodes", "1:2",
        "--nproc-per-node", "1", "--max-restarts", "9", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", f"{hub.address}:29400", "--rdzv-id", "elastic",
        "--rdzv-conf", RENDEZVOUS, "--local-addr", machine.address,
        str(RECORDER), "digests-elastic", *PROFILE, "--steps", str(steps), "--name", "elastic",
    ]  # fmt: skip
    env = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    env["GLOO_SOCKET_IFNAME"] = machine.cable
    with (folder / f"agent-{machine.address}.log").open("ab") as log:
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


def compare_digests(ours: Path, theirs: Path) -> dict[str, object]:
    """Compare what a run was trained on with what an undisturbed one was."""
    found, expected = read_digests(ours), read_digests(theirs)
    return {
        "images with their noise, of all steps": len(expected),
        "of them computed again after a restart": count_lines(ours) - len(found),
        "bit for bit those of the undisturbed run": found == expected,
    }


def count_lines(folder: Path) -> int:
    """Return the number of lines of all files of a folder."""
    return sum(path.read_bytes().count(b"\n") for path in folder.iterdir())


def disturb(scratch: Path, machines: list[Machine], steps: int) -> None:
    """Train on two machines, of which one leaves and comes back."""
    hub, *both = machines
    run, clock = scratch / "runs" / "elastic", time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - clock:6.1f} s  {what}", flush=True)

    store = psutil.Popen([*hub.prefix, sys.executable, "-c", STORE])
    first, second = (start_agent(scratch, machine, hub, steps) for machine in both)
    tell(f"step {wait_for_steps(run, 40, 2)} with two processes; machine 2 loses its power")
    both[1].set_cable("down")
    kill(second)
    tell(f"step {wait_for_steps(run, 40, 1)} with one process; machine 2 comes back")
    both[1].set_cable("up")
    second = start_agent(scratch, both[1], hub, steps)
    tell(f"step {wait_for_steps(run, 40, 2)} with two processes; machine 1's process is killed")
    for worker in first.children():
        worker.kill()
    codes = first.wait(WAIT), second.wait(WAIT)
    store.kill()
    tell(f"the end; exit codes {codes}")


def run_elastic(scratch: Path, steps: int, *, loopback: bool) -> None:
    """Run the disturbed training; if it fails, show what its machines have printed."""
    with make_machines(loopback=loopback) as machines:
        try:
            disturb(scratch, machines, steps)
        except BaseException:
            for log in sorted(scratch.glob("agent-*.log")):
                print(log.name, log.read_text()[-6000:], sep="\n")
            raise
        finally:
            for child in psutil.Process().children(recursive=True):
                child.kill()


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--loopback", action="store_true", help="without network namespaces")
    options = parser.parse_args()
    if not options.loopback and (os.geteuid() != 0 or shutil.which("ip") is None):
        parser.error("network namespaces need root and iproute2; or add --loopback")
    steps = options.steps
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        words = [*PROFILE, "--steps", str(steps), "--name"]
        recorder = [sys.executable, str(RECORDER), "digests-one"]
        subprocess.run([*recorder, *words, "one-process"], cwd=scratch, check=True)
        pair = [*words, "two-processes", "--devices", "2"]
        subprocess.run([sys.executable, "-m", "iddm_cli", *pair], cwd=scratch, check=True)
        run_elastic(scratch, steps, loopback=options.loopback)
        runs = scratch / "runs"
        found = compare_digests(scratch / "digests-elastic", scratch / "digests-one")
        for what, value in found.items():
            print(f"elastic, {what}: {value}")
        for name in ("elastic", "two-processes"):
            for what, value in compare(runs / name, runs / "one-process", steps).items():
                print(f"{name}, {what}: {value}")


if __name__ == "__main__":
    main()
