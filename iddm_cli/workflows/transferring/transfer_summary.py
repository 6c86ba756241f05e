"""The summary of what a new run takes from a trained model, as it is printed before training."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from iddm_cli.classes import MAX_LISTED
from iddm_cli.workflows.training.resuming.changes import format_value
from iddm_cli.workflows.transferring.transferred_profile import FROM_SOURCE

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.transferring.transfer_plan import TransferPlan

NOTES = {
    "diffusion.noise_shift": "the network adapts to the other noise levels",
    "diffusion.zero_terminal_snr": "the network adapts to the other noise levels",
}
"""What a changed setting does, where that is not obvious."""


def show_transfer(plan: "TransferPlan") -> None:
    """Print what was carried over, what is new, and what was left out."""
    from iddm_cli.display import console, tables

    console.err.print(tables.key_value_table(summarize_transfer(plan)))
    if advice := advise_noise_shift(plan.before, plan.profile):
        console.print_note(advice)


def summarize_transfer(plan: "TransferPlan") -> list[tuple[str, str]]:
    """Return what was carried over, what is new, and what was left out, as names and values."""
    source = plan.source
    rows = [("starts from", f"{source.name}, step {source.step}, {source.weights} weights")]
    rows += list(_summarize_classes(plan))
    rows += [("changed", line) for line in _list_changes(plan.before, plan.profile)]
    return rows


def _summarize_classes(plan: "TransferPlan") -> Iterator[tuple[str, str]]:
    classes, had = plan.classes, bool(plan.source.classes)
    if classes.kept:
        renamed = {new: f"{new} (was {old})" for old, new in classes.renamed}
        yield "carried over", _list_names([renamed.get(name, name) for name in classes.kept])
    if classes.new:
        yield "new", f"{_list_names(classes.new)}: {_describe_start(plan)}"
    if classes.removed and classes.rows:
        yield "left out", _list_names(classes.removed)
    elif had and not classes.rows:
        yield "left out", "all classes; the network is as it was without a label"


def _describe_start(plan: "TransferPlan") -> str:
    """Return what the network generates for a new class before it is trained on it."""
    if not plan.source.classes:
        return "start as the network without classes"
    if plan.mapping.knows_no_label:
        return "start as images of any class (no label)"
    return "start as the mean of the classes of the source"


def _list_changes(before: "ResolvedProfile", now: "ResolvedProfile") -> Iterator[str]:
    """Yield the settings of images and noise that differ, and what that does."""
    old, new = before.flatten(), now.flatten()
    for key in FROM_SOURCE:
        if old[key] != new[key]:
            note = _describe_channels(now.data.channels) if key == "data.channels" else ""
            note = note or NOTES.get(key, "")
            values = f"{format_value(old[key])} → {format_value(new[key])}"
            yield f"{key} {values}{note and f': {note}'}"


def _describe_channels(channels: int) -> str:
    rule = "averages its colours" if channels == 1 else "repeats its grey"
    return f"the network {rule}, so grey images mean the same"


def advise_noise_shift(before: "ResolvedProfile", now: "ResolvedProfile") -> str:
    """Return a hint where images are larger, and the noise is not; "" otherwise.

    Larger images show more through the same noise (Hoogeboom et al. 2023, arXiv:2301.11093).
    """
    factor = max(now.data.size) / max(before.data.size)
    shifts = before.diffusion.noise_shift, now.diffusion.noise_shift
    if factor <= 1 or shifts[0] != shifts[1]:
        return ""
    return (
        f"the images are {factor:.3g} times as large, and the same noise hides less of them: "
        f"--set diffusion.noise_shift={shifts[0] * factor:.3g} keeps what it hides"
    )


def _list_names(names: Sequence[str]) -> str:
    rest = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
