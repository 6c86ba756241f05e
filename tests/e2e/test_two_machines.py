"""Two machines, as two network namespaces joined by a cable: one run, and the cable is cut."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .conftest import Shell
from .test_team import STEPS, TRAIN, digest, wait_for_step

PATIENCE = "6"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def can_make_machines() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    probe = subprocess.run(["ip", "netns", "add", "iddm-probe"], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "del", "iddm-probe"], check=False, capture_output=True)
    return probe.returncode == 0


pytestmark = pytest.mark.skipif(not can_make_machines(), reason="needs root and iproute2")


@dataclass
class Machine:
    """A network namespace with one cable."""

    name: str
    address: str
    cable: str

    def start(self, shell: Shell, rank: int, *words: str) -> subprocess.Popen:
        """Start torchrun there, with one process."""
        command = [
            "ip", "netns", "exec", self.name, sys.executable, "-m", "torch.distributed.run",
            "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1",
            "--master-addr", "10.77.0.1", "--master-port", "29500", "-m", "iddm_cli", *words,
        ]  # fmt: skip
        env = {**shell.env, "GLOO_SOCKET_IFNAME": self.cable}
        return subprocess.Popen(
            command,
            cwd=shell.folder,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    both = [
        Machine("iddm-a", "10.77.0.1", "iddm-cable-a"),
        Machine("iddm-b", "10.77.0.2", "iddm-cable-b"),
    ]
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


def test_a_run_on_two_machines_survives_a_cut_cable(machines, shell, tmp_path):
    a, b = machines
    words = (*TRAIN, "--set", f"runtime.timeout={PATIENCE}", "--name", "pair")
    shell.iddm(*TRAIN, "--device", "cpu", "--devices", "2", "--name", "whole")
    run = shell.folder / "runs" / "pair"
    both = [a.start(shell, 0, *words), b.start(shell, 1, *words)]
    wait_for_step(run, 10)
    ip("-n", a.name, "link", "set", a.cable, "down")
    for process in both:
        _, err = process.communicate(timeout=100)
        assert process.returncode != 0
        assert "lost contact with another" in err, err
    state = json.loads((run / "run.json").read_text())
    assert state["state"] == "failed"
    assert state["step"] < STEPS

    ip("-n", a.name, "link", "set", a.cable, "up")
    resume = ("resume", "pair", "--set", f"runtime.timeout={PATIENCE}")
    both = [a.start(shell, 0, *resume), b.start(shell, 1, *resume)]
    errors = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert "bit for bit" in "".join(errors)
    assert digest(run) == digest(shell.folder / "runs" / "whole")
