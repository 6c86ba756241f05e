"""The plan of a training: size, steps, time and memory, without training (train --dry-run)."""

from typing import TYPE_CHECKING

from iddm_cli.workflows.planning.large_images import list_advice
from iddm_cli.workflows.planning.planned_run import PlannedRun
from iddm_cli.workflows.planning.shortage import (
    check_fits_machine,
    describe_proposals,
    find_shortage,
)
from iddm_cli.workflows.transferring.transfer_plan import plan_transfer
from iddm_cli.workflows.transferring.transfer_summary import show_transfer

if TYPE_CHECKING:
    from iddm_cli.build.speed.training_probe import TrainingProbe
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.engine.memory import MemoryEstimate
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.transferring.trained_source import TrainedSource


def show_plan(
    profile: "ResolvedProfile",
    pack: "Pack",
    *,
    as_json: bool,
    source: "TrainedSource | None" = None,
) -> None:
    """Print what a training would take, after a few of its steps.

    Args:
        profile: The profile.
        pack: The dataset.
        as_json: Whether to print JSON.
        source: The trained model that it would start from; None: it would start untrained.

    Raises:
        IddmError: The training would be refused, or cannot fit the memory of this machine.
    """
    from iddm_cli.build.compute import check_divisible, setup_compute
    from iddm_cli.build.memory import check_trainable, estimate_run_memory
    from iddm_cli.display import console, dataset
    from iddm_cli.engine import device as devices

    if source is not None:
        show_transfer(plan_transfer(source, profile, pack.classes), pack)
    runtime = profile.runtime
    processes = len(devices.choose_devices(runtime.device, runtime.devices))
    check_divisible(profile, processes)
    compute = setup_compute(runtime)
    run = PlannedRun(profile, pack, compute, processes)
    if run.sharing > 1:
        devices.setup_process(runtime.threads, processes)
    check_trainable(profile, pack, compute.device)
    memory = estimate_run_memory(run.share, pack, compute)
    check_fits_machine(run, memory)
    probe = probe_if_free(run, memory)
    shortage = find_shortage(run, memory)
    plan = describe_plan(run, memory, probe)
    plan["proposals"] = [proposal.to_json() for proposal in shortage.proposals]
    _print_plan(run, plan, as_json=as_json)
    for advice in list_advice(profile):
        console.print_note(advice)
    if leak := dataset.describe_leak(pack.report_held_out()):
        console.print_warning(leak)
    if shortage.warning:
        console.print_warning(shortage.warning)
        console.print_note(describe_proposals(shortage.proposals))


def probe_if_free(run: PlannedRun, memory: "MemoryEstimate") -> "TrainingProbe | None":
    """Return what some steps of the training took; None if the memory for them is not free now."""
    from iddm_cli.build.speed.training_probe import probe_training
    from iddm_cli.display.progress import show_spinner
    from iddm_cli.engine.device import free_memory

    needed = memory.total - memory.saving - memory.program
    if run.profile.training.micro_batch != "auto" and needed > free_memory(run.compute.device):
        return None
    with show_spinner("timing some steps"):
        return probe_training(run.share, run.pack, run.compute)


def describe_plan(
    run: PlannedRun, memory: "MemoryEstimate", probe: "TrainingProbe | None"
) -> dict[str, object]:
    """Return the plan, as --json prints it."""
    from iddm_cli.build.data import choose_cache
    from iddm_cli.engine.device import describe_device, free_memory

    profile, pack, compute = run.profile, run.pack, run.compute
    measured = probe is not None and probe.peak is not None
    peak = probe.peak + memory.saving if probe and probe.peak else memory.total
    return {
        "data": profile.data.path,
        "pictures": pack.count,
        "held_out": pack.report_held_out().to_json(),
        "skipped": len(pack.unreadable),
        "passed_over": len(pack.skipped_entries),
        "classes": list(pack.classes),
        "image_size": list(profile.data.size),
        "channels": pack.channels,
        "parameters": memory.parameters,
        "steps": run.steps,
        "epochs": run.steps * profile.training.batch_size / pack.count,
        "device": describe_device(compute.device),
        "processes": run.processes,
        "precision": compute.precision,
        "cache": choose_cache(profile.data, pack, compute.device),
        "cache_bytes": pack.pixels_bytes,
        "memory_bytes": peak * run.sharing,
        "memory": "measured" if measured else "estimated",
        "free_memory_bytes": free_memory(compute.device),
        "checkpoint_bytes": memory.checkpoint,
        "held_out_loss": describe_held_out_loss(run),
        "time": None if probe is None else describe_time(run, memory, probe),
    }


def describe_held_out_loss(run: PlannedRun) -> dict[str, object] | None:
    """Return when and on how many images the held-out loss is computed; None: never."""
    from iddm_cli.build.loss_evaluation import plan_held_out_loss
    from iddm_cli.engine.monitoring.loss_plan import TRAINING_PASSES

    loss = plan_held_out_loss(run.profile, run.pack)
    if loss is None:
        return None
    passes = TRAINING_PASSES * run.profile.training.batch_size * run.steps
    return {
        "every": loss.every,
        "images": loss.images,
        "evaluations": loss.count_evaluations(run.steps),
        "share": loss.cost(run.steps) / (passes + loss.cost(run.steps)),
    }


def describe_time(
    run: PlannedRun, memory: "MemoryEstimate", probe: "TrainingProbe"
) -> dict[str, object]:
    """Return how long the training takes, in seconds, as --json prints it."""
    from iddm_cli.build.loss_evaluation import plan_held_out_loss
    from iddm_cli.build.samples.sample_grid import count_grid_images
    from iddm_cli.engine.monitoring.time_plan import TimePlan, UnitCosts, checkpoint_seconds

    profile = run.profile
    image = probe.image / run.processes
    costs = UnitCosts(
        start=probe.step.start,
        step=probe.step.seconds,
        grid=image * count_grid_images(profile, len(run.pack.classes)),
        checkpoint=checkpoint_seconds(memory.checkpoint),
        forward=probe.forward / run.processes,
        evaluation=image * profile.evaluation.count,
    )
    found = TimePlan(
        profile.training,
        costs,
        total_steps=run.steps,
        loss=plan_held_out_loss(profile, run.pack),
        evaluate_every=profile.evaluation.every,
    ).predict()
    return {
        "step_seconds": found.step,
        "total_seconds": found.total,
        "first_grid_seconds": found.first_grid,
        "first_checkpoint_seconds": found.first_checkpoint,
        "parts": found.parts,
        "timed_steps": probe.step.steps,
        "timed_images": probe.step.images,
        "notes": list_time_notes(run, probe),
    }


def list_time_notes(run: PlannedRun, probe: "TrainingProbe") -> list[str]:
    """Return what to know about the times."""
    from iddm_cli.engine.monitoring.step_timing import LEAST_STEPS

    notes = []
    share = run.share.training.batch_size
    if probe.step.images < share:
        notes.append(
            f"a step takes long, so iddm timed steps of {probe.step.images} instead of {share} "
            "images"
        )
    elif probe.step.steps < LEAST_STEPS:
        notes.append(f"a step takes long, so iddm timed {probe.step.steps} of them")
    if run.processes > 1:
        notes.append(
            f"one process computed its share; what {run.processes} processes wait for each other "
            "is not in these times"
        )
    if run.profile.evaluation.every:
        notes.append("of evaluations, only the time to generate images is in these times")
    if run.profile.training.stop_when:
        notes.append("the training may stop early (training.stop_when)")
    return notes


def _print_plan(run: PlannedRun, plan: dict[str, object], *, as_json: bool) -> None:
    from iddm_cli.build.data import choose_cache
    from iddm_cli.display import console, dataset
    from iddm_cli.display.machine.plan_table import plan_table
    from iddm_cli.profiles.training_length import advise_length

    profile, pack = run.profile, run.pack
    augmented = profile.data.augment_probability > 0
    advice = advise_length(profile.training, pack.count, augmented=augmented)
    if as_json:
        texts = [item.text for item in advice]
        console.print_json({**plan, "advice": texts, "profile": profile.model_dump()})
        return
    cache = choose_cache(profile.data, pack, run.compute.device)
    rows = dataset.summarize_pack(pack, profile, steps=run.steps, cache=cache)
    console.out.print(plan_table(plan, rows))
    console.print_advice(advice)
