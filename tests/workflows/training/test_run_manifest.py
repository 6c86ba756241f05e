"""The manifest: the command as it can be typed again, the commit, and what computes."""

import os
import shlex
import subprocess
import sys

import pytest
import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.workflows.training.run_manifest import describe_compute, describe_process


def test_the_command_can_be_typed_again(monkeypatch):
    words = ["train", "--data", "my pets", "--set", "data.path='$HOME'"]
    monkeypatch.setattr(sys, "argv", ["/some/where/iddm", *words])
    manifest = describe_process("cpu", 2)
    assert shlex.split(manifest["command"]) == ["iddm", *words]
    assert (manifest["device"], manifest["world_size"]) == ("cpu", 2)
    assert (manifest["torch"], manifest["pid"]) == (torch.__version__, os.getpid())


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.TimeoutExpired("git", 5)])
def test_without_git_there_is_no_commit_and_no_error(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert describe_process("cpu", 1)["git_commit"] is None


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert describe_process("cpu", 1)["git_commit"] is None


def test_several_processes_are_counted_and_one_is_not():
    compute = ComputeContext(torch.device("cpu"), "bf16")
    alone = describe_compute(ProcessGroup(), compute)
    assert alone.startswith("cpu (")
    assert alone.endswith(", bf16")
    assert describe_compute(ProcessGroup(0, 4), compute) == f"4 processes, each on {alone}"
