"""The summary of what a new run takes from a trained model, as it is printed before training."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from iddm_cli.profiles.origins.growth import find_growth, measure_ratio
from iddm_cli.workflows.evaluating.class_matching import list_names
from iddm_cli.workflows.training.resuming.changes import format_value
from iddm_cli.workflows.transferring.transferred_profile import FROM_SOURCE

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.transferring.transfer_plan import TransferPlan

RARE_SHARE = 0.5
"""Classes with fewer images than this share of what each would have if all had equally many."""

NOTES = {
    "data.crop_position": "the network starts as one that knows no positions",
    "data.encoder": "the same autoencoder",
    "diffusion.noise_shift": "the network adapts to the other noise levels",
    "diffusion.zero_terminal_snr": "the network adapts to the other noise levels",
}
"""What a changed setting does, where that is not obvious."""


def show_transfer(plan: "TransferPlan", pack: "Pack") -> None:
    """Print what was carried over, what is new, and what was left out; and what is advisable."""
    from iddm_cli.display import console, tables

    console.err.print(tables.key_value_table(summarize_transfer(plan)))
    if advice := advise_balance(plan, pack):
        console.print_note(advice)


def summarize_transfer(plan: "TransferPlan") -> list[tuple[str, str]]:
    """Return what was carried over, what is new, and what was left out, as names and values."""
    source = plan.source
    rows = [("starts from", f"{source.name}, step {source.step}, {source.weights} weights")]
    rows += list(_summarize_growth(plan.before, plan.profile))
    rows += list(_summarize_classes(plan))
    if plan.profile.training.lora_rank:
        rows.append(("trained", _describe_adapters(plan)))
    rows += [("changed", line) for line in _list_changes(plan.before, plan.profile)]
    return rows


def _summarize_growth(
    before: "ResolvedProfile", now: "ResolvedProfile"
) -> Iterator[tuple[str, str]]:
    """Yield what became of the levels and patches of the network, where it grew."""
    growth = find_growth(before.model, now.model)
    if not growth:
        return
    settings = now.model.model_dump()
    if growth.patch > 1:
        side, old = settings["patch_size"], before.model.model_dump()["patch_size"]
        yield (
            "grown",
            f"patches of {side} x {side} pixels instead of {old} x {old}: all blocks "
            "are kept, and the first layer begins to read details",
        )
    if growth.levels:
        height, width = (side // settings["patch_size"] for side in now.data.diffused_size)
        count = len(settings["channel_multipliers"])
        inner = list_names([f"{n - growth.levels} as {n}" for n in range(growth.levels, count)])
        outer = list_names([f"{n} ({height >> n} x {width >> n})" for n in range(growth.levels)])
        yield "levels kept", f"{inner}, with all that is between them"
        yield "levels new", f"{outer}, and the last layer"


def _summarize_classes(plan: "TransferPlan") -> Iterator[tuple[str, str]]:
    classes, had = plan.classes, bool(plan.source.classes)
    if classes.kept:
        renamed = {new: f"{new} (was {old})" for old, new in classes.renamed}
        yield "carried over", list_names([renamed.get(name, name) for name in classes.kept])
    if classes.new:
        yield "new", f"{list_names(classes.new)}: untrained, and told apart from the others"
    if classes.removed and classes.rows:
        yield "left out", list_names(classes.removed)
    elif had and not classes.rows:
        yield "left out", "all classes; the network is as it was without a label"


def _describe_adapters(plan: "TransferPlan") -> str:
    """Return what is trained where the network itself is frozen."""
    from iddm_cli.build.transferring.adapted_weights import count_adapters

    new = [label for label, row in enumerate(plan.classes.rows) if row is None]
    trained, total = count_adapters(plan.profile, len(plan.classes.rows), new)
    rows = " and the vectors of new classes" if new else ""
    rank = plan.profile.training.lora_rank
    return f"adapters of rank {rank}{rows}: {trained:,} numbers beside {total:,} frozen ones"


def _list_changes(before: "ResolvedProfile", now: "ResolvedProfile") -> Iterator[str]:
    """Yield the settings of images and noise that differ, and what that does."""
    old, new = before.flatten(), now.flatten()
    for key in (*FROM_SOURCE, "data.crop_position"):
        if old[key] != new[key]:
            note = _describe_change(key, before, now)
            values = f"{format_value(old[key])} → {format_value(new[key])}"
            yield f"{key} {values}{note and f': {note}'}"


def _describe_change(key: str, before: "ResolvedProfile", now: "ResolvedProfile") -> str:
    """Return what a changed setting does, where that is not obvious."""
    if key == "data.channels":
        return _describe_channels(now.data.channels)
    shifts = before.diffusion.noise_shift, now.diffusion.noise_shift
    ratio = measure_ratio(before.data.size, now.data.size)
    if key == "diffusion.noise_shift" and math.isclose(shifts[1], shifts[0] * ratio, rel_tol=1e-3):
        return "hides as much of the larger images as before"
    return NOTES.get(key, "")


def _describe_channels(channels: int) -> str:
    rule = "averages its colours" if channels == 1 else "repeats its grey"
    return f"the network {rule}, so grey images mean the same"


def advise_balance(plan: "TransferPlan", pack: "Pack") -> str:
    """Return a hint where a new class has so few images that it is rarely trained on; "" otherwise.

    Args:
        plan: The plan.
        pack: The dataset of the new run.
    """
    counts = dict(zip(pack.classes, pack.class_counts(), strict=True))
    equal = pack.count / max(1, len(counts))
    rare = [name for name in plan.classes.new if counts.get(name, equal) < RARE_SHARE * equal]
    if not rare or not plan.classes.kept or plan.profile.data.balance > 0:
        return ""
    size = plan.profile.training.batch_size
    seen = size * counts[rare[0]] / pack.count
    return (
        f"{rare[0]} has {counts[rare[0]]} of {pack.count} images, {seen:.2g} in each batch of "
        f"{size}, so it is learned slowly: --set data.balance=1 trains on every class equally often"
    )
