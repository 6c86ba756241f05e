"""Beginning: what a process of a team does for a run that is new."""

import shutil
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import ProfileError
from iddm_cli.runs.registry import create_run, fresh_name
from iddm_cli.runs.run import Run, as_json, noted
from iddm_cli.workflows.training import loop
from iddm_cli.workflows.training.data import describe_dataset
from iddm_cli.workflows.training.run_manifest import describe_process

if TYPE_CHECKING:
    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.profiles.profile import Profile
    from iddm_cli.workflows.training.job import Job


BYTES_PER_PARAMETER = 4 * 4
"""A checkpoint holds the weight, its average and the optimizer's two means, each in 4 bytes."""


def find_or_create_run(
    group: "ProcessGroup", place: "ComputeContext", job: "Job"
) -> tuple[Run, bool]:
    """Return the run, made by the leader where it is new, and whether it is new.

    Raises:
        IddmError: It cannot be made, or not be trained here; an older run is still there.
    """
    from iddm_cli.build.memory import check_trainable

    if job.resumed is not None:
        return job.resumed, False
    name = group.broadcast(job.name or fresh_name(job.folder, job.stem))
    run = Run(job.folder / name)
    fresh = not (group.is_restart and group.is_main and was_started_with(run, job.profile))
    if group.is_main and fresh:
        assert job.packed is not None, "launch packs it"
        check_trainable(job.profile, job.packed, place.device)
        files = initial_files(group, place, job)
        create_run(job.folder, name, files, overwrite=job.overwrite, steal=job.steal_lock)
    return run, group.broadcast(fresh)


def was_started_with(run: Run, profile: "Profile") -> bool:
    """Say whether a run has this profile: else it is another one that a team was refused before."""
    from iddm_cli.profiles.loading import load_profile

    try:
        return load_profile(str(run.profile), []) == profile
    except ProfileError:
        return False


def initial_files(group: "ProcessGroup", place: "ComputeContext", job: "Job") -> dict[str, bytes]:
    """Return the files that a new run begins with."""
    from iddm_cli.engine.device import describe
    from iddm_cli.profiles.writing import dump_profile

    assert job.packed is not None, "launch packs it"
    process = describe_process(describe(place.device), group.world_size)
    return {
        "profile.yaml": dump_profile(job.profile).encode(),
        "dataset.json": as_json(describe_dataset(job.packed, job.profile.data.path)),
        "run.json": as_json(noted({}, state="starting", **process)),
    }


def start_run(group: "ProcessGroup", place: "ComputeContext", job: "Job", run: Run) -> int:
    """Train a new run."""
    from iddm_cli.build.data import choose_cache
    from iddm_cli.build.trainer import build_trainer
    from iddm_cli.display import dataset, tables

    profile, packed = job.profile, job.packed
    assert packed is not None, "launch packs it"
    trainer = build_trainer(profile, packed, run, place, group)
    cache = choose_cache(profile.data, packed, place.device)
    lines = dataset.brief(packed, profile, steps=trainer.total, cache=cache)
    if group.is_main:
        console.err.print(tables.facts(lines))
        warn_if_disk_is_small(run, trainer)
    console.record_dataset(f"run {run.name}: {trainer.total} steps on {loop.where(group, place)}")
    return loop.run_training(trainer, run, as_json=job.as_json, deadline=job.deadline)


def warn_if_disk_is_small(run: Run, trainer: "Trainer") -> None:
    """Say so where the disk has no room for the checkpoints that are to be kept."""
    numbers = sum(p.numel() for p in trainer.denoiser.parameters())
    needed = (trainer.settings.keep + 1) * numbers * BYTES_PER_PARAMETER
    free = shutil.disk_usage(run.path).free
    if free < needed:
        console.warn(
            f"the disk has {free / 1e9:.2f} GB free, and {trainer.settings.keep + 1} checkpoints "
            f"take {needed / 1e9:.2f} GB; one that does not fit is left out, and told"
        )
