"""Starting a run: created once by the main process, found again after a restart."""

import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device
from iddm_cli.engine import memory as engine_memory
from iddm_cli.engine.memory import checkpoint_bytes
from iddm_cli.errors import RunError, UsageError
from iddm_cli.profiles.loading import load_profile
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training.job import Job, JobOptions
from iddm_cli.workflows.training.start import (
    find_or_create_run,
    warn_if_disk_is_small,
    was_started_with,
)
from tests.build.profiles import tiny_profile
from tests.workflows.packs import make_pack

COMPUTE = ComputeContext(torch.device("cpu"), "fp32")
RESTARTED = ProcessGroup(is_restart=True)


def job_of(tmp_path, **options) -> Job:
    profile = tiny_profile(data={"channels": 1, "image_size": 8})
    return Job(profile, make_pack(), JobOptions(tmp_path, **{"name": "one", **options}))


def test_a_new_run_has_its_profile_its_dataset_and_its_state(tmp_path):
    job = job_of(tmp_path)
    run, is_new = find_or_create_run(SINGLE_PROCESS, COMPUTE, job)
    assert (is_new, run.path) == (True, tmp_path / "one")
    assert load_profile(str(run.profile_path), []).model_dump() == job.profile.model_dump()
    assert run.read_classes() == ("cat", "dog")
    manifest = run.read_json("run.json")
    assert (manifest["state"], manifest["world_size"]) == ("starting", 1)


def test_a_run_that_cannot_fit_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    job, memory = job_of(tmp_path), 3 * 10**9
    monkeypatch.setattr(device, "all_memory", lambda _: memory)
    monkeypatch.setattr(engine_memory, "used_memory", lambda: 2 * memory)
    with pytest.raises(UsageError, match="this machine has 3 GB") as refused:
        find_or_create_run(SINGLE_PROCESS, COMPUTE, job)
    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []
    sharded = job.profile.model_copy(
        update={"runtime": job.profile.runtime.model_copy(update={"sharding": "fsdp"})}
    )
    find_or_create_run(SINGLE_PROCESS, COMPUTE, Job(sharded, job.pack, job.options))


def test_a_run_is_created_only_once_but_for_overwriting(tmp_path):
    find_or_create_run(SINGLE_PROCESS, COMPUTE, job_of(tmp_path))
    with pytest.raises(RunError):
        find_or_create_run(SINGLE_PROCESS, COMPUTE, job_of(tmp_path))
    assert find_or_create_run(SINGLE_PROCESS, COMPUTE, job_of(tmp_path, overwrite=True))[1]


def test_a_restarted_group_goes_on_with_its_own_run_and_takes_no_other(tmp_path):
    job = job_of(tmp_path)
    find_or_create_run(SINGLE_PROCESS, COMPUTE, job)
    run, is_new = find_or_create_run(RESTARTED, COMPUTE, job)
    assert (run.name, is_new) == ("one", False)
    other = tiny_profile(data={"channels": 1, "image_size": 8}, training={"seed": 5})
    assert not was_started_with(run, other)
    with pytest.raises(RunError):
        find_or_create_run(RESTARTED, COMPUTE, Job(other, job.pack, job.options))


def test_a_damaged_profile_is_that_of_another_run(tmp_path):
    run, _ = find_or_create_run(SINGLE_PROCESS, COMPUTE, job_of(tmp_path))
    run.profile_path.write_text("{")
    assert not was_started_with(run, job_of(tmp_path).profile)


def test_the_run_to_resume_is_not_created(tmp_path):
    resumed = Run(tmp_path / "two")
    assert find_or_create_run(SINGLE_PROCESS, COMPUTE, job_of(tmp_path, resumed=resumed)) == (
        resumed,
        False,
    )
    assert list(tmp_path.iterdir()) == []


def test_only_the_main_process_creates_a_run(tmp_path):
    run, is_new = find_or_create_run(ProcessGroup(1, 2), COMPUTE, job_of(tmp_path))
    assert (run.name, is_new) == ("one", True)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_too_large_leaves_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr("iddm_cli.engine.device.all_memory", lambda _: 1000)
    with pytest.raises(UsageError, match="too large"):
        find_or_create_run(SINGLE_PROCESS, COMPUTE, job_of(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("judged", [0, 20])
@pytest.mark.parametrize(("missing", "warned"), [(0, False), (1, True)])
def test_a_disk_too_small_for_the_checkpoints_is_a_warning(
    monkeypatch, capsys, missing, warned, judged
):
    denoiser = torch.nn.Linear(10, 10)
    trainer = SimpleNamespace(
        train_step=SimpleNamespace(denoiser=denoiser),
        settings=SimpleNamespace(keep=2, average_snapshots=1),
        state=SimpleNamespace(discriminator=torch.nn.Linear(judged - 1, 1) if judged else None),
        total_steps=520,
    )
    usage = namedtuple("Usage", "total free")
    free = 3 * (checkpoint_bytes(110) + 12 * judged) + 7 * 2 * 110 - missing
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, free))
    warn_if_disk_is_small(SimpleNamespace(path=Path("x")), trainer)
    said = " ".join(capsys.readouterr().err.split())
    assert ("3 checkpoints and 7 snapshots of the EMA take" in said) is warned
