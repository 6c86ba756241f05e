"""Two machines, as two network namespaces joined by a cable: one run, and the cable is cut."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from .conftest import Shell
from .test_team import STEPS, TRAIN, digest, wait_for_step

PATIENCE = "20"
"""Seconds after which each side of a cut cable gives up the other: more than a slow machine needs
between the starts of the two."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def can_make_machines() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"iddm-probe-{os.getpid()}"
    probe = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return probe.returncode == 0


pytestmark = pytest.mark.skipif(not can_make_machines(), reason="needs root and iproute2")


@dataclass
class Launched:
    """A torchrun with one process, and the file of what both print to stderr."""

    process: subprocess.Popen
    messages: Path


@dataclass
class Machine:
    """A network namespace with one cable."""

    name: str
    address: str
    cable: str

    def start(self, shell: Shell, rank: int, *words: str) -> Launched:
        """Start torchrun there, with one process."""
        command = [
            "ip", "netns", "exec", self.name, sys.executable, "-m", "torch.distributed.run",
            "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1",
            "--master-addr", "10.77.0.1", "--master-port", "29500", "-m", "iddm_cli", *words,
        ]  # fmt: skip
        env = {**shell.env, "GLOO_SOCKET_IFNAME": self.cable, "PYTHONFAULTHANDLER": "1"}
        messages = shell.folder / f"{self.name}-{words[0]}.txt"
        with messages.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=shell.folder,
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,
            )
        return Launched(process, messages)


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    names = [f"iddm-{end}{os.getpid()}" for end in "ab"]  # tests run in several processes
    both = [Machine(name, f"10.77.0.{i}", name) for i, name in enumerate(names, 1)]
    for machine in both:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "del", machine.name)
        ip("netns", "add", machine.name)
    ip("link", "add", both[0].cable, "type", "veth", "peer", "name", both[1].cable)
    for machine in both:
        ip("link", "set", machine.cable, "netns", machine.name)
        ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", machine.cable)
        ip("-n", machine.name, "link", "set", machine.cable, "up")
        ip("-n", machine.name, "link", "set", "lo", "up")
    yield both
    for machine in both:
        ip("netns", "del", machine.name)


def wait_for_both(both: list[Launched]) -> tuple[list[int], list[str]]:
    """Return the exit codes and messages of both; where one hangs, show what all were doing."""
    until = time.monotonic() + 200
    hung = [one.process for one in both if not ends_by(one.process, until)]
    for process in hung:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.send_signal(signal.SIGABRT)  # Python then prints where its threads are
        process.terminate()
    codes = [one.process.wait() for one in both]
    errors = [one.messages.read_text() for one in both]
    assert not hung, "\n".join(errors)
    return codes, errors


def ends_by(process: subprocess.Popen, until: float) -> bool:
    """Return whether a process ends before this time, by time.monotonic()."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, until - time.monotonic()))
    return process.poll() is not None


def test_a_run_on_two_machines_survives_a_cut_cable(machines, shell, tmp_path):
    a, b = machines
    words = (*TRAIN, "--set", f"runtime.timeout={PATIENCE}", "--name", "pair")
    shell.iddm(*TRAIN, "--device", "cpu", "--devices", "2", "--name", "whole")
    run = shell.folder / "runs" / "pair"
    both = [a.start(shell, 0, *words), b.start(shell, 1, *words)]
    wait_for_step(run, 10)
    ip("-n", a.name, "link", "set", a.cable, "down")
    codes, errors = wait_for_both(both)
    assert 0 not in codes, errors
    assert all("lost contact with another" in error for error in errors), errors
    state = json.loads((run / "run.json").read_text())
    assert state["state"] == "failed"
    assert state["step"] < STEPS

    ip("-n", a.name, "link", "set", a.cable, "up")
    resume = ("resume", "pair", "--set", "runtime.timeout=100")
    both = [a.start(shell, 0, *resume), b.start(shell, 1, *resume)]
    codes, errors = wait_for_both(both)
    assert codes == [0, 0], errors
    assert "bit for bit" in "".join(errors)
    assert digest(run) == digest(shell.folder / "runs" / "whole")
