"""Resuming: what a process of a team does for a run that is there."""

import contextlib
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training import attach_dataset, loop
from iddm_cli.workflows.training.run_manifest import describe_process

if TYPE_CHECKING:
    from iddm_cli.build.compute import Place
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.distributed.group import Team
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.workflows.training.job import Job


def go_on(team: "Team", place: "Place", job: "Job", run: Run) -> int:
    """Load the last good checkpoint and train on from there."""
    from iddm_cli.build.trainer import make_trainer
    from iddm_cli.engine.device import describe
    from iddm_cli.profiles.writing import save_profile

    assert job.packed is not None, "launch packs it"
    if team.leads:
        refuse_other_data(run, job.packed)
    classes = team.tell(run.read_classes() if team.leads else ())
    packed = attach_dataset.in_order(job.packed, classes, run.name)
    trainer = make_trainer(job.profile, packed, run, place, team)
    tier = load_newest(team, trainer)
    refuse_a_step_back(run, trainer)
    done = team.leads and run.read_json("run.json").get("state") == "finished"
    if trainer.step >= trainer.total and team.tell(done):
        _say_finished(run, trainer, as_json=job.as_json)
        return 0
    if team.leads:
        attach_dataset.note(run, packed, job.profile.data.path)
        save_profile(job.profile, run.profile_path)
        run.truncate_metrics(trainer.step)
        run.update_manifest(**describe_process(describe(place.device), team.size))
    console.print_note(
        f"run {run.name}: resumed at step {trainer.step} of {trainer.total} "
        f"on {loop.where(team, place)}; {tier}"
    )
    return loop.follow(trainer, run, as_json=job.as_json, deadline=job.deadline)


def refuse_other_data(run: Run, packed: "Pack") -> None:
    """Refuse a dataset that is not the one the run began with.

    Raises:
        DatasetError: Pictures were added, removed or changed.
    """
    before = run.read_json("dataset.json")
    if attach_dataset.has_pictures(run) and before.get("digest") != packed.digest:
        raise DatasetError(
            f"the pictures have changed since run {run.name} began: there were "
            f"{before.get('count')}, there are {packed.count} now, or some look different",
            "Put them back as they were, or start a new run on them: iddm train",
        )


def refuse_a_step_back(run: Run, trainer: "Trainer") -> None:
    """Refuse to end a run before where it has come to: it would be called finished.

    Raises:
        UsageError: It has made more steps than it is to have in all.
    """
    if trainer.step > trainer.total:
        raise UsageError(
            f"run {run.name} has made {trainer.step} steps, and would have {trainer.total} in all",
            f"Ask for more: iddm resume {run.name} --steps {2 * trainer.step}",
        )


def load_newest(team: "Team", trainer: "Trainer") -> str:
    """Load the newest good checkpoint, if there is one, and say how exactly training goes on.

    The leader finds and reads it; the others are told what it holds.

    Raises:
        CheckpointError: There are checkpoints, but none can be used.
    """
    there = team.tell(bool(trainer.checkpoints.paths()))
    if there and not team.leads:
        trainer.load(None)
    if not there or not team.leads:
        return "nothing had been saved yet, so it starts again"
    saved, damaged = trainer.checkpoints.newest()
    newer = [path for path in trainer.checkpoints.paths() if path.name > saved.path.name]
    with contextlib.suppress(OSError):
        trainer.checkpoints.set_aside(newer)
    for error in damaged:
        console.print_warning(f"{error.problem}; set aside, using {saved.path.name}")
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
    if as_json and trainer.team.leads:
        console.print_json({"run": run.name, "state": "finished", "step": trainer.step})
    else:
        more = f"iddm resume {run.name} --steps {2 * trainer.step}"
        console.print_note(
            f"run {run.name} has done its {trainer.total} steps; train further: {more}"
        )
