"""Launch a training: in this process, in one spawned for each device, or under torchrun or srun."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from iddm_cli.display import console
from iddm_cli.distributed.environment import read_rank_info
from iddm_cli.errors import DatasetError, RunError, UsageError
from iddm_cli.profiles.overrides import HARMLESS
from iddm_cli.runs.registry import check_free, check_writable, fresh_name
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training.data import prepare_data
from iddm_cli.workflows.training.job import Job
from iddm_cli.workflows.training.resume import resume_run
from iddm_cli.workflows.training.start import find_or_create_run, start_run
from iddm_cli.workflows.training.stop_requests import ignore_save_signals

if TYPE_CHECKING:
    import torch

    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.profiles.profile import Profile


def launch(job: Job) -> None:
    """Train on the devices that the profile asks for; exits with the training's code.

    Raises:
        IddmError: It cannot begin, or failed.
    """
    ignore_save_signals()
    place = read_rank_info()
    if place is None or place.rank == 0:
        check_can_start(job, restarted=place is not None and place.restarted)
    else:
        console.silence()
    profile, packed = prepare_data(job.profile)
    job = replace(job, profile=profile, packed=packed)

    from iddm_cli.build.compute import check_divisible
    from iddm_cli.distributed.launch import run_joined
    from iddm_cli.engine.device import choose_devices, choose_local_devices

    runtime = profile.runtime
    if place is not None:
        check_divisible(profile, place.size)
        devices = choose_local_devices(runtime.device, runtime.devices)
        sharded = runtime.sharding == "fsdp"
        code = run_joined(place, work, job, devices, runtime.timeout, sharded=sharded)
    else:
        devices = choose_devices(runtime.device, runtime.devices)
        check_divisible(profile, len(devices))
        code = _run_supervised(job, devices)
    if code:
        raise typer.Exit(code)


def check_can_start(job: Job, *, restarted: bool) -> None:
    """Refuse what can be refused before anything long is begun.

    Raises:
        UsageError: Nothing can be written there.
        RunError: The name is taken, or another process trains this run.
    """
    check_writable(job.folder if job.resumed is None else job.resumed.path)
    if job.resumed is not None:
        with job.resumed.lock.held(steal=job.steal_lock or restarted):
            return
    if job.name is not None and not job.overwrite and not restarted:
        check_free(job.folder, job.name)


def _run_supervised(job: Job, devices: "list[torch.device]") -> int:
    """Run the processes of this machine; where one dies, write down that the run failed."""
    from iddm_cli.distributed.launch import run_local
    from iddm_cli.distributed.supervisor import WorkerError

    if job.resumed is None and job.name is None:
        job = replace(job, name=fresh_name(job.folder, job.stem))
    try:
        runtime = job.profile.runtime
        sharded = runtime.sharding == "fsdp"
        return run_local(work, job, devices, runtime.timeout, sharded=sharded)
    except WorkerError as error:
        run = job.resumed or Run(job.folder / str(job.name))
        # Only what the leader could not write itself: it may be the one that was killed.
        with contextlib.suppress(OSError, RunError):
            if run.read("run.json").get("state") in ("starting", "running", "failed"):
                run.record_dataset(state="failed")
                run.log(f"{error.problem}\n{error.trace}")
        raise


def work(group: "ProcessGroup", device: "torch.device", job: Job) -> int:
    """Do one process's part of a training; return its exit code.

    Raises:
        IddmError: It cannot begin, or failed.
    """
    from iddm_cli.build.compute import setup_compute

    if not group.is_main:
        console.silence()
    assert job.packed is not None, "launch packs it"
    check_same_settings(group, job.profile)
    check_same_dataset(group, job.packed)
    place = setup_compute(job.profile.runtime, device, group)
    run, fresh = find_or_create_run(group, place, job)
    steal = job.steal_lock or group.is_restart
    with run.lock.held(steal=steal) if group.is_main else contextlib.nullcontext():
        if fresh:
            return start_run(group, place, job, run)
        return resume_run(group, place, job, run)


def check_same_settings(group: "ProcessGroup", profile: "Profile") -> None:
    """Refuse to train where the processes were given different settings.

    Raises:
        UsageError: This one's are not the leader's; where it computes, and how it reads the
            pictures, is its own affair.
    """
    ours = {
        f"{section}.{key}": value
        for section, table in profile.model_dump().items()
        for key, value in table.items()
        if section != "runtime" and f"{section}.{key}" not in HARMLESS
    }
    theirs = group.broadcast(ours)
    other = [
        f"{key} {value}, not {theirs[key]}" for key, value in ours.items() if value != theirs[key]
    ]
    if other:
        raise UsageError(
            f"process {group.rank} has other settings than process 0: {'; '.join(other)}",
            "Give every machine the same command and the same profile.",
        )


def check_same_dataset(group: "ProcessGroup", packed: "Pack") -> None:
    """Refuse to train where the processes see different pictures.

    Raises:
        DatasetError: This one's are not the leader's.
    """
    theirs = group.broadcast((packed.digest, packed.count))
    if theirs != (packed.digest, packed.count):
        raise DatasetError(
            f"process {group.rank} sees {packed.count} pictures, and process 0 {theirs[1]}, or "
            "some look different",
            "Give every machine the same dataset, and the same version of iddm and Pillow.",
        )
