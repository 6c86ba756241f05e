"""Resuming: what a process of a team does for a run that is there."""

import contextlib
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training import attach_dataset, loop
from iddm_cli.workflows.training.run_manifest import describe_process

if TYPE_CHECKING:
    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.workflows.training.job import Job


def resume_run(group: "ProcessGroup", place: "ComputeContext", job: "Job", run: Run) -> int:
    """Load the last good checkpoint and train on from there."""
    from iddm_cli.build.trainer import build_trainer
    from iddm_cli.engine.device import describe
    from iddm_cli.profiles.writing import save_profile

    assert job.packed is not None, "launch packs it"
    if group.is_main:
        check_same_data(run, job.packed)
    classes = group.broadcast(run.classes() if group.is_main else ())
    packed = attach_dataset.align_classes(job.packed, classes, run.name)
    trainer = build_trainer(job.profile, packed, run, place, group)
    tier = load_latest(group, trainer)
    check_not_beyond_end(run, trainer)
    done = group.is_main and run.read("run.json").get("state") == "finished"
    if trainer.step >= trainer.total and group.broadcast(done):
        _say_finished(run, trainer, as_json=job.as_json)
        return 0
    if group.is_main:
        attach_dataset.record_dataset(run, packed, job.profile.data.path)
        save_profile(job.profile, run.profile)
        run.cut_metrics(trainer.step)
        run.record_dataset(**describe_process(describe(place.device), group.world_size))
    console.record_dataset(
        f"run {run.name}: resumed at step {trainer.step} of {trainer.total} "
        f"on {loop.where(group, place)}; {tier}"
    )
    return loop.run_training(trainer, run, as_json=job.as_json, deadline=job.deadline)


def check_same_data(run: Run, packed: "Pack") -> None:
    """Refuse a dataset that is not the one the run began with.

    Raises:
        DatasetError: Pictures were added, removed or changed.
    """
    before = run.read("dataset.json")
    if attach_dataset.has_dataset(run) and before.get("digest") != packed.digest:
        raise DatasetError(
            f"the pictures have changed since run {run.name} began: there were "
            f"{before.get('count')}, there are {packed.count} now, or some look different",
            "Put them back as they were, or start a new run on them: iddm train",
        )


def check_not_beyond_end(run: Run, trainer: "Trainer") -> None:
    """Refuse to end a run before where it has come to: it would be called finished.

    Raises:
        UsageError: It has made more steps than it is to have in all.
    """
    if trainer.step > trainer.total:
        raise UsageError(
            f"run {run.name} has made {trainer.step} steps, and would have {trainer.total} in all",
            f"Ask for more: iddm resume {run.name} --steps {2 * trainer.step}",
        )


def load_latest(group: "ProcessGroup", trainer: "Trainer") -> str:
    """Load the newest good checkpoint, if there is one, and say how exactly training goes on.

    The leader finds and reads it; the others are told what it holds.

    Raises:
        CheckpointError: There are checkpoints, but none can be used.
    """
    there = group.broadcast(bool(trainer.checkpoints.paths()))
    if there and not group.is_main:
        trainer.load(None)
    if not there or not group.is_main:
        return "nothing had been saved yet, so it starts again"
    saved, damaged = trainer.checkpoints.newest()
    newer = [path for path in trainer.checkpoints.paths() if path.name > saved.path.name]
    with contextlib.suppress(OSError):
        trainer.checkpoints.quarantine(newer)
    for error in damaged:
        console.warn(f"{error.problem}; set aside, using {saved.path.name}")
    trainer.load(saved)
    if not saved.bits:  # nobody has trained it here
        return "from the average of the model that was imported, with a fresh optimizer"
    changed = [
        f"{key} {saved.bits.get(key)} → {value}"
        for key, value in trainer.bits.items()
        if saved.bits.get(key) != value
    ]
    return f"not bit for bit: {', '.join(changed)}" if changed else "bit for bit"


def _say_finished(run: Run, trainer: "Trainer", *, as_json: bool) -> None:
    if as_json and trainer.group.is_main:
        console.document({"run": run.name, "state": "finished", "step": trainer.step})
    else:
        more = f"iddm resume {run.name} --steps {2 * trainer.step}"
        console.record_dataset(
            f"run {run.name} has done its {trainer.total} steps; train further: {more}"
        )
