"""Elastic training: torchrun starts a run again with as many processes as there are machines."""

import signal

import pytest
from safetensors.torch import load_file

from .conftest import ForkedCommand, Shell
from .test_team import STEPS, TRAIN, free_port, rows, wait_for_step

ELASTIC = (*TRAIN, "--device", "cpu", "--name", "one")


def start_group(shell: Shell, *restarts: int) -> list[ForkedCommand]:
    """Start a process for each number of restarts that the agent of its machine has counted."""
    both = []
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for rank, count in enumerate(restarts):
        shell.env |= {
            **shared, "RANK": str(rank), "WORLD_SIZE": str(len(restarts)),
            "TORCHELASTIC_RESTART_COUNT": str(count), "TORCHELASTIC_MAX_RESTARTS": "3",
        }  # fmt: skip
        both.append(shell.fork(*ELASTIC))
    return both


def test_a_machine_leaves_and_comes_back_and_the_run_is_the_same(shell):
    """The one that comes back has the main process, and its agent has counted no restart."""
    shell.iddm(*TRAIN, "--device", "cpu", "--name", "whole")
    whole, run = shell.folder / "runs" / "whole", shell.folder / "runs" / "one"
    stays, leaves = start_group(shell, 0, 0)
    wait_for_step(run, 10)
    leaves.kill()
    _, err = stays.communicate(timeout=100)
    assert stays.returncode == 1, err
    done = len(rows(run))

    (alone,) = start_group(shell, 1)
    wait_for_step(run, done + 3)
    alone.send_signal(signal.SIGTERM)  # as its agent does when another machine waits to join
    _, err = alone.communicate(timeout=100)
    assert alone.returncode == 128 + signal.SIGTERM, err
    assert "not bit for bit: world_size 2 → 1" in err

    both = start_group(shell, 0, 1)
    errors = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert "resumed at step" in errors[0]
    assert "world_size 1 → 2" in errors[0]
    assert [row["step"] for row in rows(run)] == list(range(1, STEPS + 1))
    for ours, theirs in zip(rows(run), rows(whole), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4), "the same data and noise"
    ours, theirs = (
        load_file(one / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
        for one in (run, whole)
    )
    for name, tensor in theirs.items():
        assert ours[name].numpy() == pytest.approx(tensor.numpy(), rel=1e-4, abs=1e-4), name
