"""Resume a run: load its latest valid checkpoint, then continue training."""

import contextlib
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.overrides import select_recipe
from iddm_cli.profiles.training_length import advise_length, count_steps
from iddm_cli.runs.run import Run
from iddm_cli.workflows.latents.encoder_source import load_source_decoder
from iddm_cli.workflows.training import attach_dataset
from iddm_cli.workflows.training.loop import describe_early_stop, run_training
from iddm_cli.workflows.training.resuming.changes import (
    check_same_moments,
    compare_settings,
    list_changes_without_effect,
    settings_of,
)
from iddm_cli.workflows.training.run_manifest import describe_compute, describe_process

if TYPE_CHECKING:
    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.profiles.profile import Profile, ResolvedProfile
    from iddm_cli.workflows.training.job import Job


def resume_run(group: "ProcessGroup", compute: "ComputeContext", job: "Job", run: Run) -> int:
    """Resume a run; return the exit code. Collective: every process must call it.

    Raises:
        IddmError: It cannot be resumed, or training failed.
    """
    from iddm_cli.build.evaluator import build_evaluator
    from iddm_cli.build.memory import describe_shortage
    from iddm_cli.build.trainer import build_trainer
    from iddm_cli.engine.device import describe_device
    from iddm_cli.profiles.writing import save_profile

    if group.is_main:
        check_same_images(run, job.pack, job.profile.data.path)
    stored, profile = plan_profile(group, run, job)
    classes = group.broadcast(run.read_classes() if group.is_main else ())
    pack = attach_dataset.align_classes(job.pack, classes, run.name)
    if group.is_main and (shortage := describe_shortage(profile, pack, compute, group)):
        console.print_warning(shortage)
    decoder = load_source_decoder(job.options.encoder, pack, compute.device)
    evaluate = build_evaluator(profile, job.evaluated, group, decoder)
    trainer = build_trainer(profile, pack, run, compute, group, evaluate, decoder)
    exactness, report = load_latest(group, trainer, stored)
    check_not_beyond_end(run, trainer)
    finished = group.is_main and run.read_json("run.json").get("state") == "finished"
    if (trainer.is_worse or trainer.step >= trainer.total_steps) and group.broadcast(finished):
        _report_finished(run, trainer, as_json=job.options.as_json)
        return 0
    if group.is_main and (changed := attach_dataset.describe_other_held_out(run, pack)):
        console.print_note(changed)
    if group.is_main:
        attach_dataset.record_dataset(run, pack, profile.data.path)
        save_profile(profile, run.profile_path)
        run.truncate_metrics(trainer.step)
        run.update_manifest(**describe_process(describe_device(compute.device), group.world_size))
    console.print_note(
        f"run {run.name}: resumed at step {trainer.step} of {trainer.total_steps} "
        f"on {describe_compute(group, compute)}; {exactness}"
    )
    if not run.starts_trained():
        console.print_advice(advise_length(profile.training, pack.count, resumed=True))
    for line in report:
        console.print_note(line)
        with contextlib.suppress(OSError):
            run.log(line)
    if stored is not None and (others := list_changes_without_effect(stored, profile)):
        console.print_note(f"without effect on the weights: {', '.join(map(str, others))}")
    return run_training(trainer, run, as_json=job.options.as_json, deadline=job.deadline)


def plan_profile(
    group: "ProcessGroup", run: Run, job: "Job"
) -> "tuple[Profile | None, ResolvedProfile]":
    """Return the run's profile and the one to resume with, which records extensions.

    Collective: every process must call it. The run's profile is known to the main process alone.
    """
    from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.workflows.training.resuming.extension import plan_extension

    stored, training = None, job.profile.training
    if group.is_main:
        stored = load_profile(str(run.profile_path), [])
        step, recipe = CheckpointFolder(run.checkpoints_dir).read_latest_settings()
        before = settings_of(recipe, stored.training)
        training = plan_extension(before, training, images=job.pack.count, step=step)
    extensions = group.broadcast(training.extensions)
    training = job.profile.training.model_copy(update={"extensions": extensions})
    return stored, job.profile.model_copy(update={"training": training})


def check_same_images(run: Run, pack: "Pack", path: str) -> None:
    """Check that the dataset is the one that the run started with.

    Args:
        run: The run.
        pack: The images that it would continue with.
        path: Where they are.

    Raises:
        DatasetError: Images were added, removed or changed.
    """
    dataset = run.read_json("dataset.json")
    if attach_dataset.has_dataset(run) and dataset.get("digest") != pack.digest:
        raise DatasetError(
            f"the images have changed since run {run.name} started: "
            f"{attach_dataset.describe_difference(dataset, pack)} ({path})",
            f"{attach_dataset.advise_layout(run, pack)}"
            f"Restore them, or name the folder where they are now: iddm resume {run.name} "
            "--set data.path=FOLDER. To train on other images, start a new run: iddm train --data "
            "FOLDER --profile PROFILE",
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


def load_latest(
    group: "ProcessGroup", trainer: "Trainer", stored: "Profile | None" = None
) -> tuple[str, list[str]]:
    """Load the latest valid checkpoint, if there is one.

    Collective: every process must call it. The main process reads the checkpoint.

    Args:
        group: The processes that train together.
        trainer: The trainer, which loads it.
        stored: The profile of the run: what a checkpoint of an older version was trained with.

    Returns:
        How exact the resume is, and sentences on what the changed settings do.

    Raises:
        CheckpointError: There are checkpoints, but none is valid.
    """
    exists = group.broadcast(bool(trainer.checkpoints.paths()))
    if exists and not group.is_main:
        trainer.load(None)
    if not exists or not group.is_main:
        return "no checkpoint had been saved, so training starts at step 0", []
    checkpoint, errors = trainer.checkpoints.latest_valid()
    newer = [path for path in trainer.checkpoints.paths() if path.name > checkpoint.path.name]
    with contextlib.suppress(OSError):
        trainer.checkpoints.quarantine(newer)
    for error in errors:
        console.print_warning(f"{error.problem}; set aside, using {checkpoint.path.name}")
    check_same_moments(checkpoint.settings, trainer.settings)
    trainer.load(checkpoint)
    if not checkpoint.numerics:  # nobody has trained it here
        origin = stored.transfer.source if stored is not None else None
        of = f"weights of {origin}" if origin else "averaged weights of the imported model"
        return f"from the {of}, with a new optimizer", []
    recipe = checkpoint.settings
    if not recipe and stored is not None:
        length = count_steps(stored.training, len(trainer.train_step.batches))
        recipe = {**select_recipe(stored), "training.steps": length}
    changes = [
        f"{key} {checkpoint.numerics.get(key)} → {value}"
        for key, value in trainer.train_step.numerics.items()
        if checkpoint.numerics.get(key) != value
    ]
    settings, report = compare_settings(recipe, trainer)
    changes += map(str, settings)
    return f"not bit for bit: {', '.join(changes)}" if changes else "bit for bit", report


def _report_finished(run: Run, trainer: "Trainer", *, as_json: bool) -> None:
    if as_json and trainer.group.is_main:
        early = trainer.is_worse
        document = {"run": run.name, "state": "finished", "step": trainer.step}
        console.print_json({**document, "stopped_early": early})
    elif trainer.is_worse:
        # Otherwise nothing would keep the best checkpoint any more.
        keep = f" --set training.keep_best={trainer.settings.best_metric}"
        console.print_note(
            f"{describe_early_stop(run, trainer)}; train on with: iddm resume {run.name} "
            f"--set training.stop_when=null{'' if trainer.settings.keep_best else keep}"
        )
    else:
        command = f"iddm resume {run.name} --steps {2 * trainer.step}"
        decays = trainer.settings.lr_schedule != "constant"
        rewarm = " --set training.lr_extension=rewarm"
        console.print_note(
            f"run {run.name} has made all its {trainer.total_steps} steps; "
            f"train further with: {command}{rewarm if decays else ''}"
        )
