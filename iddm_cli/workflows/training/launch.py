"""Launch a training: in this process, in one spawned for each device, or under torchrun or srun."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from iddm_cli.display import console
from iddm_cli.distributed.environment import place_from_environment
from iddm_cli.errors import DatasetError, RunError, UsageError
from iddm_cli.profiles.overrides import RESUMABLE_KEYS
from iddm_cli.runs.registry import check_name_free, check_runs_dir_writable, make_run_name
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training.data import prepare_data
from iddm_cli.workflows.training.job import Job
from iddm_cli.workflows.training.resume import go_on
from iddm_cli.workflows.training.start import begin, find_run
from iddm_cli.workflows.training.stop_requests import ignore_saving

if TYPE_CHECKING:
    import torch

    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.distributed.group import Team
    from iddm_cli.profiles.profile import Profile


def launch(job: Job) -> None:
    """Train on the devices that the profile asks for; exits with the training's code.

    Raises:
        IddmError: It cannot begin, or failed.
    """
    ignore_saving()
    place = place_from_environment()
    if place is None or place.rank == 0:
        check_begin(job, restarted=place is not None and place.restarted)
    else:
        console.silence()
    profile, packed = prepare_data(job.profile)
    job = replace(job, profile=profile, packed=packed)

    from iddm_cli.build.compute import check_shared
    from iddm_cli.distributed.launch import run_joined
    from iddm_cli.engine.device import choose_devices, devices_of_a_place

    runtime = profile.runtime
    if place is not None:
        check_shared(profile, place.size)
        devices = devices_of_a_place(runtime.device, runtime.devices)
        sharded = runtime.sharding == "fsdp"
        code = run_joined(place, work, job, devices, runtime.timeout, sharded=sharded)
    else:
        devices = choose_devices(runtime.device, runtime.devices)
        check_shared(profile, len(devices))
        code = _watched(job, devices)
    if code:
        raise typer.Exit(code)


def check_begin(job: Job, *, restarted: bool) -> None:
    """Refuse what can be refused before anything long is begun.

    Raises:
        UsageError: Nothing can be written there.
        RunError: The name is taken, or another process trains this run.
    """
    check_runs_dir_writable(job.folder if job.resumed is None else job.resumed.path)
    if job.resumed is not None:
        with job.resumed.lock.hold(steal=job.steal_lock or restarted):
            return
    if job.name is not None and not job.overwrite and not restarted:
        check_name_free(job.folder, job.name)


def _watched(job: Job, devices: "list[torch.device]") -> int:
    """Run the processes of this machine; where one dies, write down that the run failed."""
    from iddm_cli.distributed.launch import run_here
    from iddm_cli.distributed.supervisor import TeamError

    if job.resumed is None and job.name is None:
        job = replace(job, name=make_run_name(job.folder, job.stem))
    try:
        runtime = job.profile.runtime
        sharded = runtime.sharding == "fsdp"
        return run_here(work, job, devices, runtime.timeout, sharded=sharded)
    except TeamError as error:
        run = job.resumed or Run(job.folder / str(job.name))
        # Only what the leader could not write itself: it may be the one that was killed.
        with contextlib.suppress(OSError, RunError):
            if run.read_json("run.json").get("state") in ("starting", "running", "failed"):
                run.update_manifest(state="failed")
                run.log(f"{error.problem}\n{error.trace}")
        raise


def work(team: "Team", device: "torch.device", job: Job) -> int:
    """Do one process's part of a training; return its exit code.

    Raises:
        IddmError: It cannot begin, or failed.
    """
    from iddm_cli.build.compute import choose_place

    if not team.leads:
        console.silence()
    assert job.packed is not None, "launch packs it"
    agree_on_settings(team, job.profile)
    agree_on_data(team, job.packed)
    place = choose_place(job.profile.runtime, device, team)
    run, fresh = find_run(team, place, job)
    steal = job.steal_lock or team.restarted
    with run.lock.hold(steal=steal) if team.leads else contextlib.nullcontext():
        if fresh:
            return begin(team, place, job, run)
        return go_on(team, place, job, run)


def agree_on_settings(team: "Team", profile: "Profile") -> None:
    """Refuse to train where the processes were given different settings.

    Raises:
        UsageError: This one's are not the leader's; where it computes, and how it reads the
            pictures, is its own affair.
    """
    ours = {
        f"{section}.{key}": value
        for section, table in profile.model_dump().items()
        for key, value in table.items()
        if section != "runtime" and f"{section}.{key}" not in RESUMABLE_KEYS
    }
    theirs = team.tell(ours)
    other = [
        f"{key} {value}, not {theirs.get(key)}"  # another network has other keys
        for key, value in ours.items()
        if value != theirs.get(key)
    ]
    if other:
        raise UsageError(
            f"process {team.rank} has other settings than process 0: {'; '.join(other)}",
            "Give every machine the same command and the same profile.",
        )


def agree_on_data(team: "Team", packed: "Pack") -> None:
    """Refuse to train where the processes see different pictures.

    Raises:
        DatasetError: This one's are not the leader's.
    """
    theirs = team.tell((packed.digest, packed.count))
    if theirs != (packed.digest, packed.count):
        raise DatasetError(
            f"process {team.rank} sees {packed.count} pictures, and process 0 {theirs[1]}, or "
            "some look different",
            "Give every machine the same dataset, and the same version of iddm and Pillow.",
        )
