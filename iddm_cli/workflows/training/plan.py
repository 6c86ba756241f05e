"""The plan of a training: size, steps and memory, computed without training (train --dry-run)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.profile import ResolvedProfile


def show_plan(profile: "ResolvedProfile", pack: "Pack", *, as_json: bool) -> None:
    """Print what a training would take.

    Raises:
        IddmError: The training would be refused.
    """
    from iddm_cli.build.compute import check_divisible, setup_compute
    from iddm_cli.build.data import choose_cache
    from iddm_cli.build.memory import check_trainable, describe_shortage, estimate_run_memory
    from iddm_cli.display import console, dataset, tables
    from iddm_cli.engine.device import choose_devices, describe_device, free_memory
    from iddm_cli.engine.memory import checkpoint_bytes
    from iddm_cli.profiles.training_length import advise_length, count_steps

    runtime = profile.runtime
    check_divisible(profile, len(choose_devices(runtime.device, runtime.devices)))
    compute = setup_compute(runtime)
    check_trainable(profile, pack, compute.device)
    memory = estimate_run_memory(profile, pack, compute)
    steps = count_steps(profile.training, pack.count)
    cache = choose_cache(profile.data, pack, compute.device)
    plan: dict[str, object] = {
        "data": profile.data.path,
        "pictures": pack.count,
        "held_out": pack.report_held_out().to_json(),
        "skipped": len(pack.unreadable),
        "passed_over": len(pack.skipped_entries),
        "classes": list(pack.classes),
        "image_size": list(profile.data.size),
        "channels": pack.channels,
        "parameters": memory.parameters,
        "steps": steps,
        "epochs": steps * profile.training.batch_size / pack.count,
        "device": describe_device(compute.device),
        "precision": compute.precision,
        "cache": cache,
        "cache_bytes": pack.pixels_bytes,
        "memory_bytes": memory.total,
        "free_memory_bytes": free_memory(compute.device),
        "checkpoint_bytes": checkpoint_bytes(memory.parameters),
    }
    advice = advise_length(profile.training, pack.count)
    if as_json:
        texts = [item.text for item in advice]
        console.print_json({**plan, "advice": texts, "profile": profile.model_dump()})
    else:
        rows = dataset.summarize_pack(pack, profile, steps=steps, cache=cache)
        console.out.print(tables.plan_table(plan, rows))
        console.print_advice(advice)
    if leak := dataset.describe_leak(pack.report_held_out()):
        console.print_warning(leak)
    if shortage := describe_shortage(profile, pack, compute, memory=memory):
        console.print_warning(shortage)
