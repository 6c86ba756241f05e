"""Start a new run: create its folder, then train."""

from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import ProfileError
from iddm_cli.profiles.training_length import advise_length
from iddm_cli.runs.registry import create_run, make_run_name
from iddm_cli.runs.run import Run, encode_json, stamp_manifest
from iddm_cli.storage.space import free_bytes
from iddm_cli.workflows.distilling.teacher import export_teacher
from iddm_cli.workflows.latents.encoder_source import export_encoder, load_source_decoder
from iddm_cli.workflows.planning.large_images import list_advice
from iddm_cli.workflows.training.data import describe_dataset
from iddm_cli.workflows.training.loop import run_training
from iddm_cli.workflows.training.resume import load_latest
from iddm_cli.workflows.training.run_manifest import describe_compute, describe_process
from iddm_cli.workflows.transferring.transfer_plan import (
    INITIAL_FOLDER,
    describe_origin,
    iter_initial_files,
    plan_transfer,
)
from iddm_cli.workflows.transferring.transfer_summary import show_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.profiles.profile import Profile
    from iddm_cli.workflows.training.job import Job


def find_or_create_run(
    group: "ProcessGroup", compute: "ComputeContext", job: "Job"
) -> tuple[Run, bool]:
    """Return the run, and whether it is new; the main process creates a new one.

    Collective: every process must call it.

    Raises:
        IddmError: It cannot be created, or not be trained here; an older run is untouched.
    """
    from iddm_cli.build.memory import check_trainable

    options = job.options
    if options.resumed is not None:
        return options.resumed, False
    name = group.broadcast(options.name or make_run_name(options.runs_dir, options.stem))
    run = Run(options.runs_dir / name)
    may_exist = group.is_restart or options.may_exist
    was_created = may_exist and group.is_main and was_started_with(run, job.profile)
    if group.is_main and not was_created:
        check_trainable(job.profile, job.pack, compute.device)
        if shortage := check_memory(group, compute, job):
            console.print_warning(shortage)
        create_run(
            options.runs_dir,
            name,
            initial_files(group, compute, job),
            folders=list_folders(job),
            large=iter_large_files(run, job),
            overwrite=options.overwrite,
            steal=options.steal_lock,
        )
    return run, not group.broadcast(was_created)


def check_memory(group: "ProcessGroup", compute: "ComputeContext", job: "Job") -> str:
    """Check that a training fits this machine; return a warning where its memory is in use now.

    Raises:
        UsageError: It cannot fit; the hint names settings with which it would.
    """
    from iddm_cli.build.memory import describe_shortage, estimate_run_memory
    from iddm_cli.workflows.planning.planned_run import PlannedRun
    from iddm_cli.workflows.planning.shortage import check_fits_machine

    if job.profile.runtime.sharding != "none":  # each process holds a part of the network
        return ""
    memory = estimate_run_memory(job.profile, job.pack, compute, group)
    check_fits_machine(PlannedRun(job.profile, job.pack, compute, group.local_world_size), memory)
    return describe_shortage(job.profile, job.pack, compute, group, memory=memory)


def list_folders(job: "Job") -> list[str]:
    """Return the folders of a new run besides those that every run has."""
    has_checkpoint = job.options.source is not None and not job.profile.training.lora_rank
    return [INITIAL_FOLDER] if has_checkpoint else []


def iter_large_files(run: Run, job: "Job") -> "Iterator[tuple[str, bytes]]":
    """Yield the weights that a new run starts with, by their paths in it; none if it is untrained.

    Raises:
        IddmError: What it starts from is no longer there, or is damaged.
    """
    options = job.options
    if options.teacher is not None:
        yield from export_teacher(run, options.teacher)
    if options.encoder is not None:
        yield from export_encoder(run, options.encoder)
    if options.source is not None:
        plan = plan_transfer(options.source, job.profile, job.pack.classes)
        yield from iter_initial_files(plan, run, job.pack)


def was_started_with(run: Run, profile: "Profile") -> bool:
    """Return whether a run has this profile; otherwise it is another run of that name."""
    from iddm_cli.profiles.loading import load_profile

    try:
        return load_profile(str(run.profile_path), []).model_dump() == profile.model_dump()
    except ProfileError:
        return False


def initial_files(group: "ProcessGroup", compute: "ComputeContext", job: "Job") -> dict[str, bytes]:
    """Return the content of a new run's files, by name."""
    from iddm_cli.engine.device import describe_device
    from iddm_cli.profiles.writing import dump_profile

    process = describe_process(describe_device(compute.device), group.world_size)
    if (source := job.options.source) is not None:
        plan = plan_transfer(source, job.profile, job.pack.classes)
        process["started_from"] = describe_origin(plan)
    return {
        "profile.yaml": dump_profile(job.profile).encode(),
        "dataset.json": encode_json(describe_dataset(job.pack, job.profile.data.path)),
        "run.json": encode_json(stamp_manifest({}, state="starting", **process)),
    }


def start_run(group: "ProcessGroup", compute: "ComputeContext", job: "Job", run: Run) -> int:
    """Train a new run; return the exit code. Collective: every process must call it."""
    from iddm_cli.build.data import choose_cache
    from iddm_cli.build.evaluator import build_evaluator
    from iddm_cli.build.trainer import build_trainer
    from iddm_cli.display import dataset, tables

    profile, pack = job.profile, job.pack
    decoder = load_source_decoder(job.options.encoder, pack, compute.device)
    evaluate = build_evaluator(profile, job.evaluated, group, decoder)
    trainer = build_trainer(profile, pack, run, compute, group, evaluate, decoder)
    if job.options.source is not None:
        load_latest(group, trainer)
    cache = choose_cache(profile.data, pack, compute.device)
    rows = dataset.summarize_pack(pack, profile, steps=trainer.total_steps, cache=cache)
    if group.is_main:
        console.err.print(tables.key_value_table(rows))
        if job.options.source is not None:
            show_transfer(plan_transfer(job.options.source, profile, pack.classes), pack)
        warn_if_disk_is_small(run, trainer)
        if leak := dataset.describe_leak(pack.report_held_out()):
            console.print_warning(leak)
    for advice in list_advice(profile):
        console.print_note(advice)
    if not run.starts_trained():
        augmented = profile.data.augment_probability > 0
        console.print_advice(advise_length(profile.training, pack.count, augmented=augmented))
    console.print_note(
        f"run {run.name}: {trainer.total_steps} steps on {describe_compute(group, compute)}"
    )
    return run_training(trainer, run, as_json=job.options.as_json, deadline=job.deadline)


def warn_if_disk_is_small(run: Run, trainer: "Trainer") -> None:
    """Warn where the disk has no room for the checkpoints that will be kept."""
    from iddm_cli.checkpoints.snapshots import SNAPSHOT_NUMBER_BYTES, count_kept
    from iddm_cli.engine.memory import checkpoint_bytes, count_parameters

    parameters = count_parameters(trainer.train_step.denoiser)
    discriminator = trainer.state.discriminator
    judged = 0 if discriminator is None else count_parameters(discriminator)
    count = trainer.settings.keep + 1
    needed = count * checkpoint_bytes(parameters, judged)
    snapshots = count_kept(trainer.total_steps, trainer.settings.average_snapshots)
    needed += snapshots * SNAPSHOT_NUMBER_BYTES * parameters
    free = free_bytes(run.path)
    if free is not None and free < needed:
        others = f" and {snapshots} snapshots of the EMA" * bool(snapshots)
        console.print_warning(
            f"the disk has {free / 1e9:.2f} GB free, and {count} checkpoints{others} take "
            f"{needed / 1e9:.2f} GB; iddm skips a checkpoint that does not fit, and warns"
        )
