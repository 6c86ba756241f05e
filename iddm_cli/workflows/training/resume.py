"""Resume a run: load its latest valid checkpoint, then continue training."""

import contextlib
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training import attach_dataset
from iddm_cli.workflows.training.loop import run_training
from iddm_cli.workflows.training.run_manifest import describe_compute, describe_process

if TYPE_CHECKING:
    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.workflows.training.job import Job


def resume_run(group: "ProcessGroup", compute: "ComputeContext", job: "Job", run: Run) -> int:
    """Resume a run; return the exit code. Collective: every process must call it.

    Raises:
        IddmError: It cannot be resumed, or training failed.
    """
    from iddm_cli.build.memory import describe_shortage
    from iddm_cli.build.trainer import build_trainer
    from iddm_cli.engine.device import describe_device
    from iddm_cli.profiles.writing import save_profile

    if group.is_main:
        check_same_images(run, job.pack)
    classes = group.broadcast(run.read_classes() if group.is_main else ())
    pack = attach_dataset.align_classes(job.pack, classes, run.name)
    if (shortage := describe_shortage(job.profile, pack, compute, group)) and group.is_main:
        console.print_warning(shortage)
    trainer = build_trainer(job.profile, pack, run, compute, group)
    exactness = load_latest(group, trainer)
    check_not_beyond_end(run, trainer)
    finished = group.is_main and run.read_json("run.json").get("state") == "finished"
    if trainer.step >= trainer.total_steps and group.broadcast(finished):
        _report_finished(run, trainer, as_json=job.options.as_json)
        return 0
    if group.is_main:
        attach_dataset.record_dataset(run, pack, job.profile.data.path)
        save_profile(job.profile, run.profile_path)
        run.truncate_metrics(trainer.step)
        run.update_manifest(**describe_process(describe_device(compute.device), group.world_size))
    console.print_note(
        f"run {run.name}: resumed at step {trainer.step} of {trainer.total_steps} "
        f"on {describe_compute(group, compute)}; {exactness}"
    )
    return run_training(trainer, run, as_json=job.options.as_json, deadline=job.deadline)


def check_same_images(run: Run, pack: "Pack") -> None:
    """Check that the dataset is the one that the run started with.

    Raises:
        DatasetError: Images were added, removed or changed.
    """
    dataset = run.read_json("dataset.json")
    if attach_dataset.has_dataset(run) and dataset.get("digest") != pack.digest:
        raise DatasetError(
            f"the images have changed since run {run.name} started: there were "
            f"{dataset.get('count')}, there are {pack.count} now, or some look different",
            "Restore them, or start a new run on them: iddm train",
        )


def check_not_beyond_end(run: Run, trainer: "Trainer") -> None:
    """Check that a run would not end before the step that it has reached.

    Raises:
        UsageError: It has made more steps than the settings allow in all.
    """
    if trainer.step > trainer.total_steps:
        raise UsageError(
            f"run {run.name} has made {trainer.step} steps, and the settings allow "
            f"{trainer.total_steps} in all",
            f"Set more: iddm resume {run.name} --steps {2 * trainer.step}",
        )


def load_latest(group: "ProcessGroup", trainer: "Trainer") -> str:
    """Load the latest valid checkpoint, if there is one; return how exact the resume is.

    Collective: every process must call it. The main process reads the checkpoint.

    Raises:
        CheckpointError: There are checkpoints, but none is valid.
    """
    exists = group.broadcast(bool(trainer.checkpoints.paths()))
    if exists and not group.is_main:
        trainer.load(None)
    if not exists or not group.is_main:
        return "no checkpoint had been saved, so training starts at step 0"
    checkpoint, errors = trainer.checkpoints.latest_valid()
    newer = [path for path in trainer.checkpoints.paths() if path.name > checkpoint.path.name]
    with contextlib.suppress(OSError):
        trainer.checkpoints.quarantine(newer)
    for error in errors:
        console.print_warning(f"{error.problem}; set aside, using {checkpoint.path.name}")
    trainer.load(checkpoint)
    if not checkpoint.numerics:  # nobody has trained it here
        return "from the averaged weights of the imported model, with a new optimizer"
    changes = [
        f"{key} {checkpoint.numerics.get(key)} → {value}"
        for key, value in trainer.train_step.numerics.items()
        if checkpoint.numerics.get(key) != value
    ]
    return f"not bit for bit: {', '.join(changes)}" if changes else "bit for bit"


def _report_finished(run: Run, trainer: "Trainer", *, as_json: bool) -> None:
    if as_json and trainer.group.is_main:
        console.print_json({"run": run.name, "state": "finished", "step": trainer.step})
    else:
        command = f"iddm resume {run.name} --steps {2 * trainer.step}"
        console.print_note(
            f"run {run.name} has made all its {trainer.total_steps} steps; "
            f"train further with: {command}"
        )
