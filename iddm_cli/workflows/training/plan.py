"""What a training would take: size, steps and memory, without training (train --dry-run)."""

from iddm_cli.data.packs.pack import Pack
from iddm_cli.profiles.profile import Profile


def show_plan(profile: "Profile", packed: "Pack", *, as_json: bool) -> None:
    """Tell what a training would be like, without training.

    Raises:
        IddmError: It would be refused.
    """
    from iddm_cli.build.compute import check_shared, choose_place
    from iddm_cli.build.data import choose_cache
    from iddm_cli.build.memory import check_trainable, estimate, plan_steps
    from iddm_cli.display import console, dataset, tables
    from iddm_cli.engine.device import choose_devices, describe

    runtime = profile.runtime
    check_shared(profile, len(choose_devices(runtime.device, runtime.devices)))
    place = choose_place(runtime)
    check_trainable(profile, packed, place.device)
    memory = estimate(profile, packed, place)
    steps = plan_steps(profile, packed.count)
    cache = choose_cache(profile.data, packed, place.device)
    plan: dict[str, object] = {
        "data": profile.data.path,
        "pictures": packed.count,
        "skipped": len(packed.unreadable),
        "passed_over": len(packed.skipped_entries),
        "classes": list(packed.classes),
        "image_size": list(profile.data.size),
        "channels": packed.channels,
        "parameters": memory.parameters,
        "steps": steps,
        "epochs": steps * profile.training.batch_size / packed.count,
        "device": describe(place.device),
        "precision": place.precision,
        "cache": cache,
        "cache_bytes": packed.pixels_bytes,
        "memory_bytes": memory.total,
        "checkpoint_bytes": memory.parameters * 4 * 4,
    }
    if as_json:
        console.print_json({**plan, "profile": profile.model_dump()})
    else:
        lines = dataset.summarize_pack(packed, profile, steps=steps, cache=cache)
        console.out.print(tables.plan_table(plan, lines))
