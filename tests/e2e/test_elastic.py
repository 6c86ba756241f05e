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


def test_a_machine_joins_and_dies_and_the_run_is_the_same(shell):
    """Where a machine joins, no agent counts a restart."""
    shell.iddm(*TRAIN, "--device", "cpu", "--name", "whole")
    whole, run = shell.folder / "runs" / "whole", shell.folder / "runs" / "one"
    (alone,) = start_group(shell, 0)
    wait_for_step(run, 5)
    alone.send_signal(signal.SIGTERM)  # as its agent does when another machine waits to join
    _, err = alone.communicate(timeout=100)
    assert alone.returncode == 128 + signal.SIGTERM, err

    stays, dies = start_group(shell, 0, 0)
    wait_for_step(run, len(rows(run)) + 8)
    dies.kill()
    _, err = stays.communicate(timeout=100)
    assert stays.returncode == 1, err
    assert "not bit for bit: world_size 1 → 2" in err

    (alone,) = start_group(shell, 1)
    _, err = alone.communicate(timeout=100)
    assert alone.returncode == 0, err
    assert "world_size 2 → 1" in err
    assert [row["step"] for row in rows(run)] == list(range(1, STEPS + 1))
    for ours, theirs in zip(rows(run), rows(whole), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4), "the same data and noise"
    ours, theirs = (
        load_file(one / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
        for one in (run, whole)
    )
    for name, tensor in theirs.items():
        assert ours[name].numpy() == pytest.approx(tensor.numpy(), rel=1e-4, abs=1e-4), name
