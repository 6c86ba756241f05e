"""A training job: what one process of a run does, alone or as one of a team.

`train` and `resume` make a Job and launch it; `work` is what every process then does. The leader
of a team writes and speaks for all.
"""

import contextlib
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from iddm_cli.commands import first_pictures, training
from iddm_cli.commands.stopping import ignore_saving
from iddm_cli.commands.trained import class_names
from iddm_cli.display import console
from iddm_cli.engine.place import place_from_environment
from iddm_cli.errors import DatasetError, RunError
from iddm_cli.runs import (
    Run,
    as_json,
    check_free,
    check_writable,
    create_run,
    fresh_name,
    noted,
    remove_run,
)

if TYPE_CHECKING:
    import torch

    from iddm_cli.build import Place
    from iddm_cli.data.packing import Pack
    from iddm_cli.engine.team import Team
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.settings import Profile


BYTES_PER_PARAMETER = 4 * 4
"""A checkpoint holds the weight, its average and the optimizer's two means, each in 4 bytes."""


@dataclass(frozen=True)
class Job:
    """What is to be trained, as it is sent to every process.

    Attributes:
        profile: The profile as resolved.
        folder: The folder of runs.
        resumed: The run to go on with; None starts a new one.
        name: Name of the new run; None makes one of `stem` and the time.
        stem: The profile's name.
        overwrite: Whether an older run of that name is replaced.
        as_json: Whether the result is told as JSON.
        packed: The dataset, where it is packed already.
        steal_lock: Whether the run is taken from a process on another machine.
        began: When the command began, by time.monotonic().
    """

    profile: "Profile"
    folder: Path
    resumed: Run | None = None
    name: str | None = None
    stem: str = "run"
    overwrite: bool = False
    as_json: bool = False
    packed: "Pack | None" = None
    steal_lock: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def deadline(self) -> float | None:
        """When training must save and stop, by time.monotonic(); None: never."""
        seconds = self.profile.runtime.seconds
        return None if seconds is None else self.began + seconds


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
    profile, packed = training.prepare_data(job.profile)
    job = replace(job, profile=profile, packed=packed)

    from iddm_cli import build
    from iddm_cli.engine import launch as launcher
    from iddm_cli.engine.device import choose_devices, devices_of_a_place

    runtime = profile.runtime
    if place is not None:
        build.check_shared(profile.training, place.size)
        devices = devices_of_a_place(runtime.device, runtime.devices)
        sharded = runtime.sharding == "fsdp"
        code = launcher.run_joined(place, work, job, devices, runtime.timeout, sharded=sharded)
    else:
        devices = choose_devices(runtime.device, runtime.devices)
        build.check_shared(profile.training, len(devices))
        code = _watched(job, devices)
    if code:
        raise typer.Exit(code)


def check_begin(job: Job, *, restarted: bool) -> None:
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


def _watched(job: Job, devices: "list[torch.device]") -> int:
    """Run the processes of this machine; where one dies, write down that the run failed."""
    from iddm_cli.engine import launch as launcher

    if job.resumed is None and job.name is None:
        job = replace(job, name=fresh_name(job.folder, job.stem))
    try:
        runtime = job.profile.runtime
        sharded = runtime.sharding == "fsdp"
        return launcher.run_here(work, job, devices, runtime.timeout, sharded=sharded)
    except launcher.TeamError as error:
        run = job.resumed or Run(job.folder / str(job.name))
        # Only what the leader could not write itself: it may be the one that was killed.
        with contextlib.suppress(OSError, RunError):
            if run.read("run.json").get("state") in ("starting", "running", "failed"):
                run.note(state="failed")
                run.log(f"{error.problem}\n{error.trace}")
        raise


def work(team: "Team", device: "torch.device", job: Job) -> int:
    """Do one process's part of a training; return its exit code.

    Raises:
        IddmError: It cannot begin, or failed.
    """
    from iddm_cli import build

    if not team.leads:
        console.silence()
    assert job.packed is not None, "launch packs it"
    agree_on_data(team, job.packed)
    place = build.choose_place(job.profile.runtime, device, team)
    run, fresh = find_run(team, place, job)
    steal = job.steal_lock or team.restarted
    with run.lock.held(steal=steal) if team.leads else contextlib.nullcontext():
        if fresh:
            return begin(team, place, job, run)
        return go_on(team, place, job, run)


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


def find_run(team: "Team", place: "Place", job: Job) -> tuple[Run, bool]:
    """Return the run, made by the leader where it is new, and whether it is new.

    Raises:
        RunError: It cannot be made.
    """
    if job.resumed is not None:
        return job.resumed, False
    name = team.tell(job.name or fresh_name(job.folder, job.stem))
    run = Run(job.folder / name)
    fresh = not (team.restarted and team.leads and (run.path / "profile.yaml").exists())
    if team.leads and fresh:
        if job.overwrite and run.path.exists():
            remove_run(run)
        create_run(job.folder, name, first_files(team, place, job))
    return run, team.tell(fresh)


def first_files(team: "Team", place: "Place", job: Job) -> dict[str, bytes]:
    """Return the files that a new run begins with."""
    from iddm_cli.engine.device import describe
    from iddm_cli.profile_text import dump_profile

    assert job.packed is not None, "launch packs it"
    process = training.describe_process(describe(place.device), team.size)
    return {
        "profile.yaml": dump_profile(job.profile).encode(),
        "dataset.json": as_json(training.describe_dataset(job.packed, job.profile.data.path)),
        "run.json": as_json(noted({}, state="starting", **process)),
    }


def begin(team: "Team", place: "Place", job: Job, run: Run) -> int:
    """Train a new run."""
    from iddm_cli import build
    from iddm_cli.display import dataset, tables

    profile, packed = job.profile, job.packed
    assert packed is not None, "launch packs it"
    trainer = build.make_trainer(profile, packed, run, place, team)
    cache = build.choose_cache(profile.data, packed, place.device)
    lines = dataset.brief(packed, profile, steps=trainer.total, cache=cache)
    if team.leads:
        console.err.print(tables.facts(lines))
        warn_of_little_room(run, trainer)
    console.note(f"run {run.name}: {trainer.total} steps on {where(team, place)}")
    return training.follow(trainer, run, as_json=job.as_json, deadline=job.deadline)


def warn_of_little_room(run: Run, trainer: "Trainer") -> None:
    """Say so where the disk has no room for the checkpoints that are to be kept."""
    numbers = sum(p.numel() for p in trainer.denoiser.parameters())
    needed = (trainer.settings.keep + 1) * numbers * BYTES_PER_PARAMETER
    free = shutil.disk_usage(run.path).free
    if free < needed:
        console.warn(
            f"the disk has {free / 1e9:.2f} GB free, and {trainer.settings.keep + 1} checkpoints "
            f"take {needed / 1e9:.2f} GB; one that does not fit is left out, and told"
        )


def where(team: "Team", place: "Place") -> str:
    """Say on what a run computes: 4 x cuda (NVIDIA H100), bf16."""
    from iddm_cli.engine.device import describe

    several = f"{team.size} processes, each on " if team.size > 1 else ""
    return f"{several}{describe(place.device)}, {place.precision}"


def go_on(team: "Team", place: "Place", job: Job, run: Run) -> int:
    """Load the last good checkpoint and train on from there."""
    from iddm_cli import build
    from iddm_cli.engine.device import describe
    from iddm_cli.profile_text import save_profile

    assert job.packed is not None, "launch packs it"
    if team.leads:
        refuse_other_data(run, job.packed)
    classes = team.tell(class_names(run) if team.leads else ())
    packed = first_pictures.in_order(job.packed, classes, run.name)
    trainer = build.make_trainer(job.profile, packed, run, place, team)
    tier = load_newest(team, trainer)
    done = team.leads and run.read("run.json").get("state") == "finished"
    if trainer.step >= trainer.total and team.tell(done):
        _say_finished(run, trainer, as_json=job.as_json)
        return 0
    if team.leads:
        first_pictures.note(run, packed, job.profile.data.path)
        save_profile(job.profile, run.profile)
        run.cut_metrics(trainer.step)
        run.note(**training.describe_process(describe(place.device), team.size))
    console.note(
        f"run {run.name}: resumed at step {trainer.step} of {trainer.total} "
        f"on {where(team, place)}; {tier}"
    )
    return training.follow(trainer, run, as_json=job.as_json, deadline=job.deadline)


def refuse_other_data(run: Run, packed: "Pack") -> None:
    """Refuse a dataset that is not the one the run began with.

    Raises:
        DatasetError: Pictures were added, removed or changed.
    """
    before = run.read("dataset.json")
    if first_pictures.has_pictures(run) and before.get("digest") != packed.digest:
        raise DatasetError(
            f"the pictures have changed since run {run.name} began: there were "
            f"{before.get('count')}, there are {packed.count} now, or some look different",
            "Put them back as they were, or start a new run on them: iddm train",
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
    if as_json and trainer.team.leads:
        console.document({"run": run.name, "state": "finished", "step": trainer.step})
    else:
        more = f"iddm resume {run.name} --steps {2 * trainer.step}"
        console.note(f"run {run.name} has done its {trainer.total} steps; train further: {more}")
