"""The environment of torchrun and srun: which rank is read from it."""

import os

import pytest

from iddm_cli.distributed.environment import RankInfo, read_rank_info


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "TORCHELASTIC")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_alone(environment: pytest.MonkeyPatch) -> None:
    assert read_rank_info() is None


def test_torchrun(environment: pytest.MonkeyPatch) -> None:
    given = {
        "RANK": "11", "WORLD_SIZE": "16", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "8",
        "MASTER_ADDR": "a", "MASTER_PORT": "1", "TORCHELASTIC_RESTART_COUNT": "2",
    }  # fmt: skip
    for name, value in given.items():
        environment.setenv(name, value)
    assert read_rank_info() == RankInfo(11, 16, 3, 8, is_restart=True)


def test_a_machine_that_joins_an_elastic_group_has_restarted_nothing(environment) -> None:
    given = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "TORCHELASTIC_MAX_RESTARTS": "3"}
    for name, value in given.items():
        environment.setenv(name, value)
    info = read_rank_info()
    assert info == RankInfo(0, 2, 0, 1, is_restart=False, is_restartable=True)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu07", "gpu07"),
        ("gpu07,login1", "gpu07"),
        ("gpu[03-05,9],login1", "gpu03"),
        ("a1,b[2-3]", "a1"),
        ("n[001,004-007]", "n001"),
    ],
)
def test_srun(environment: pytest.MonkeyPatch, nodes: str, first: str) -> None:
    given = {
        "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1",
        "SLURM_STEP_NODELIST": nodes, "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_JOB_ID": "77",
    }  # fmt: skip
    for name, value in given.items():
        environment.setenv(name, value)
    environment.setenv("MASTER_ADDR", "")
    environment.delenv("MASTER_ADDR")
    assert read_rank_info() == RankInfo(5, 8, 1, 4, is_restart=False)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == (first, "20077")


def test_a_batch_script_around_srun_stands_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLURM_PROCID", "0")
    environment.setenv("SLURM_NTASKS", "8")
    assert read_rank_info() is None
