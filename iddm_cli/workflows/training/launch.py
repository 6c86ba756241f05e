"""Launch a training: in this process, in one spawned for each device, or under torchrun or srun."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.distributed.environment import read_rank_info
from iddm_cli.errors import DatasetError, RunError, UsageError
from iddm_cli.machine import memory
from iddm_cli.profiles.loading import check_before_training
from iddm_cli.profiles.overrides import RESUMABLE_KEYS
from iddm_cli.runs.registry import check_name_free, check_runs_dir_writable, make_run_name
from iddm_cli.runs.run import Run
from iddm_cli.workflows.latents.encoder_source import (
    adopt_encoder,
    encode_images,
    find_encoder,
    find_scale,
)
from iddm_cli.workflows.training.attach_dataset import align_classes, has_dataset
from iddm_cli.workflows.training.data import prepare_data
from iddm_cli.workflows.training.evaluation_data import prepare_evaluation
from iddm_cli.workflows.training.job import Job, JobOptions
from iddm_cli.workflows.training.resume import resume_run
from iddm_cli.workflows.training.start import find_or_create_run, start_run
from iddm_cli.workflows.training.stop_requests import ignore_save_signals
from iddm_cli.workflows.transferring.transfer_plan import arrange_classes, find_source_values

if TYPE_CHECKING:
    import torch

    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.profiles.profile import Profile, ResolvedProfile
    from iddm_cli.runs.locks import LockPurpose
    from iddm_cli.value_range import ValueRange


def launch(profile: "Profile", options: JobOptions) -> int:
    """Train on the devices that the profile names; return the exit code.

    Raises:
        IddmError: Training cannot start, or failed.
    """
    check_before_training(profile, options.resumed.name if options.resumed else "")
    ignore_save_signals()
    memory.warn_if_small()
    rank_info = read_rank_info()
    if rank_info is not None and rank_info.is_restartable and options.resumed is None:
        options = replace(options, may_exist=True)
    if rank_info is None or rank_info.rank == 0:
        check_can_start(options, is_restart=rank_info is not None and rank_info.is_restart)
    else:
        console.silence()
    encoder = find_encoder(profile, options.runs_dir, options.resumed, options.parent)
    options = replace(options, encoder=encoder)
    resolved, pack = find_data(profile, options)
    if options.teacher is not None:
        pack = align_classes(pack, options.teacher.classes, options.teacher.name)
    if options.source is not None:
        pack = arrange_classes(pack, options.source, resolved)
    evaluated = prepare_evaluation(resolved, pack, options.resumed)

    from iddm_cli.build.compute import check_divisible
    from iddm_cli.distributed.launch import run_joined
    from iddm_cli.engine.device import choose_devices, choose_local_devices

    runtime = resolved.runtime
    choose = choose_devices if rank_info is None else choose_local_devices
    devices = choose(runtime.device, runtime.devices)
    check_divisible(resolved, len(devices) if rank_info is None else rank_info.world_size)
    if encoder is not None:
        scale = find_scale(options.resumed, options.parent)
        pack = encode_images(resolved, pack, encoder, devices[0], scale)
    job = Job(resolved, pack, options, evaluated)
    if rank_info is None:
        return _run_supervised(job, devices)
    sharded = runtime.sharding == "fsdp"
    return run_joined(rank_info, run_job, job, devices, runtime.timeout, sharded=sharded)


def find_data(profile: "Profile", options: JobOptions) -> "tuple[ResolvedProfile, Pack]":
    """Find and pack the dataset; an error about a run's dataset says how to name another place.

    Raises:
        DatasetError: The dataset cannot be found, read or trained on.
    """
    from iddm_cli.data.sources.source import find_existing

    if options.encoder is not None:
        profile = adopt_encoder(profile, options.encoder)
    try:
        return prepare_data(
            profile,
            known_classes=read_known_classes(options),
            values=find_recorded_values(options, profile),
        )
    except DatasetError as error:
        origin = options.resumed or options.teacher
        if origin is None:
            raise
        name, command = origin.name, "resume" if options.resumed else "distill"
        moved = f"If the images have moved: iddm {command} {name} --set data.path=NEW"
        if find_existing(profile.data.path) is not None:
            raise DatasetError(error.problem, f"{error.hint} {moved}".strip()) from error
        raise DatasetError(
            f"the images of run {name} are missing: {error.problem}",
            f"{moved}. The same images continue bit for bit.",
        ) from error


def find_recorded_values(options: JobOptions, profile: "Profile") -> "ValueRange | None":
    """Return the range of values of the run or of what it starts from; None if it has none yet.

    Raises:
        RunError: dataset.json is damaged.
    """
    if options.teacher is not None:
        return options.teacher.values
    if options.encoder is not None and options.resumed is None:
        return options.encoder.values
    if options.source is not None:
        return find_source_values(options.source, profile)
    run = options.resumed
    if run is None or not (has_dataset(run) or run.read_json("dataset.json").get("values")):
        return None
    return run.read_values()


def read_known_classes(options: JobOptions) -> tuple[str, ...] | None:
    """Return the classes of the run or of its teacher; None if it does not know its dataset yet."""
    if options.teacher is not None:
        return options.teacher.classes
    resumed = options.resumed
    if resumed is None or not has_dataset(resumed):
        return None
    return resumed.read_classes()


def check_can_start(options: JobOptions, *, is_restart: bool) -> None:
    """Check what can be checked before anything long begins.

    Raises:
        UsageError: The folder of runs cannot be written to, or a restart would begin another run.
        RunError: The name is taken, or another process trains this run.
    """
    if options.resumed is not None:
        check_runs_dir_writable(options.resumed.path)
        with options.resumed.lock.hold(steal=options.steal_lock or is_restart):
            return
    if options.may_exist:
        check_restartable(options)
    check_runs_dir_writable(options.runs_dir)
    if not (options.name is None or options.overwrite or options.may_exist or is_restart):
        check_name_free(options.runs_dir, options.name)


def check_restartable(options: JobOptions) -> None:
    """Check that a command which torchrun starts again continues its run.

    Raises:
        UsageError: It would begin another run each time.
    """
    if options.name is None:
        raise UsageError(
            "torchrun --max-restarts starts this command again, and without a name it would begin "
            "a new run each time",
            "Name the run: --name NAME",
        )
    if options.overwrite:
        raise UsageError(
            "torchrun --max-restarts starts this command again, and --overwrite would replace the "
            "run each time",
            "Choose another --name, or delete the folder of the older run first.",
        )


def _run_supervised(job: Job, devices: "list[torch.device]") -> int:
    """Run the processes of this machine; where one dies, record that the run failed."""
    from iddm_cli.distributed.launch import run_local
    from iddm_cli.distributed.supervisor import WorkerError

    options = job.options
    if options.resumed is None and options.name is None:
        options = replace(options, name=make_run_name(options.runs_dir, options.stem))
        job = replace(job, options=options)
    try:
        runtime = job.profile.runtime
        sharded = runtime.sharding == "fsdp"
        return run_local(run_job, job, devices, runtime.timeout, sharded=sharded)
    except WorkerError as error:
        run = options.resumed or Run(options.runs_dir / str(options.name))
        # Only what the main process could not write itself: it may be the one that was killed.
        with contextlib.suppress(OSError, RunError):
            if run.read_json("run.json").get("state") in ("starting", "running", "failed"):
                run.update_manifest(state="failed")
                run.log(f"{error.problem}\n{error.trace}")
        raise


def run_job(group: "ProcessGroup", device: "torch.device", job: Job) -> int:
    """Run one process's part of a training; return its exit code.

    Raises:
        IddmError: Training cannot start, or failed.
    """
    from iddm_cli.build.compute import setup_compute

    console.show_notices()  # a spawned process has no other place to begin
    if not group.is_main:
        console.silence()
    console.report_missing_features()
    check_same_settings(group, job.profile)
    check_same_dataset(group, job.pack)
    compute = setup_compute(job.profile.runtime, device, group)
    run, is_new = find_or_create_run(group, compute, job)
    steal = job.options.steal_lock or group.is_restart
    purpose: LockPurpose = "distilled" if job.profile.distillation.is_enabled else "trained"
    lock = run.lock.hold(steal=steal, purpose=purpose)
    with lock if group.is_main else contextlib.nullcontext():
        if is_new:
            return start_run(group, compute, job, run)
        return resume_run(group, compute, job, run)


def check_same_settings(group: "ProcessGroup", profile: "Profile") -> None:
    """Check that all processes were given the same settings.

    The runtime section and the way images are read may differ.

    Collective: every process must call it.

    Raises:
        UsageError: The settings of some process differ from those of process 0.
    """
    settings = {
        key: value
        for key, value in profile.flatten().items()
        if not key.startswith("runtime.") and key not in RESUMABLE_KEYS
    }
    main_settings = group.broadcast(settings)
    differences = [
        f"{key} {value}, not {main_settings.get(key)}"
        for key, value in settings.items()
        if value != main_settings.get(key)
    ]
    problem = f"process {group.rank} has other settings than process 0: {'; '.join(differences)}"
    if found := _first_problem(group, problem if differences else ""):
        raise UsageError(found, "Give every machine the same command and the same profile.")


def check_same_dataset(group: "ProcessGroup", pack: "Pack") -> None:
    """Check that all processes read the same images. Collective: every process must call it.

    Raises:
        DatasetError: The images of some process differ from those of process 0.
    """
    digests = pack.digest, pack.held_out and pack.held_out.digest
    main_digests, main_count = group.broadcast((digests, pack.count))
    differs = (main_digests, main_count) != (digests, pack.count)
    problem = (
        f"process {group.rank} reads {pack.count} images, and process 0 {main_count}, or some "
        "images differ"
    )
    if found := _first_problem(group, problem if differs else ""):
        raise DatasetError(
            found, "Give every machine the same dataset, and the same version of iddm and Pillow."
        )


def _first_problem(group: "ProcessGroup", problem: str) -> str:
    """Return the problem of the first process that has one, so that all stop here with it.

    Else the others would lose contact, each at another point. Collective: every process must call
    it.
    """
    return group.broadcast(next(filter(None, group.gather_object(problem)), ""))
