"""Where a training cannot fit the memory of a machine: what to set instead."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.engine.memory import MemoryEstimate
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.planning.planned_run import PlannedRun

SYSTEM_SHARE = 0.95
"""Share of a machine's memory that a training can have: the system needs some."""


def check_fits_machine(run: "PlannedRun", memory: "MemoryEstimate") -> None:
    """Check that a training fits all memory of its device, whatever else is running now.

    Raises:
        UsageError: It does not; the hint names the settings with which it would.
    """
    from iddm_cli.build.memory import count_fitting
    from iddm_cli.engine.device import all_memory
    from iddm_cli.machine.memory import total_memory

    device = run.compute.device
    room = SYSTEM_SHARE * all_memory(device) / run.sharing
    is_decided_later = run.profile.training.micro_batch == "auto"
    fits = count_fitting(memory, room)
    if memory.total <= room or (is_decided_later and fits):
        return
    place = total_memory().source if device.type == "cpu" else str(device)
    raise UsageError(
        f"this training takes about {memory.total * run.sharing / 1e9:.3g} GB of memory, and "
        f"{place} has {all_memory(device) / 1e9:.3g} GB",
        _advise(run, memory, fits, room),
    )


def _advise(run: "PlannedRun", memory: "MemoryEstimate", fits: int, room: float) -> str:
    """Return what to set, so that the training fits `room` bytes."""
    from iddm_cli.build.memory import divide_evenly

    if fits:
        size = divide_evenly(memory.micro_batch, fits)
        return (
            f"Compute fewer images at once, which changes no more than the last bits: --set "
            f"training.micro_batch={size}"
        )
    found = [setting for setting, changed in list_smaller(run.profile) if _fits(run, changed, room)]
    if not found:
        return "Not even one image at once fits; choose a much smaller network and image size."
    return f"Not even one image at once fits. One would with: --set {', or --set '.join(found)}"


def list_smaller(profile: "ResolvedProfile") -> Iterator[tuple[str, "ResolvedProfile"]]:
    """Yield settings that save memory, and the profile with each."""
    from pydantic import ValidationError

    from iddm_cli.profiles.checking.rules import check_rules

    height, width = profile.data.size
    sizes = [(height // n, width // n) for n in (2, 4, 8)]
    keys = profile.model.size_keys[:1]
    proposals: list[tuple[str, str, object]] = [("training", "recompute", "blocks")]
    proposals += [("model", key, getattr(profile.model, key) // n) for key in keys for n in (2, 4)]
    proposals += [("data", "image_size", h if h == w else [h, w]) for h, w in sizes]
    for section, key, value in proposals:
        values = profile.model_dump()
        if key not in values[section]:
            continue
        values[section][key] = value
        try:
            changed = type(profile).model_validate(values)
        except ValidationError:
            continue
        if any(check_rules(changed)):
            continue
        yield f"{section}.{key}={value}".replace(" ", ""), changed


def _fits(run: "PlannedRun", profile: "ResolvedProfile", room: float) -> bool:
    """Return whether one image at once fits `room` bytes."""
    from iddm_cli.build.memory import count_fitting, estimate_run_memory
    from iddm_cli.errors import IddmError

    try:
        memory = estimate_run_memory(profile, run.pack, run.compute)
    except IddmError:
        return False
    return count_fitting(memory, room) > 0
