"""Where a training cannot fit the memory of a machine: what to set instead."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from iddm_cli.errors import UsageError
from iddm_cli.workflows.planning.smaller import iter_other_networks, iter_same_results

if TYPE_CHECKING:
    from iddm_cli.engine.memory import MemoryEstimate
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.planning.planned_run import PlannedRun
    from iddm_cli.workflows.planning.smaller import Change


class Proposal(NamedTuple):
    """Settings with which a training fits.

    Attributes:
        settings: The arguments of --set.
        memory: Bytes that it then takes, over all processes on the machine.
        is_same: Whether they change no more than the last bits of the result.
    """

    settings: tuple[str, ...]
    memory: float
    is_same: bool

    def to_json(self) -> dict[str, object]:
        """Return the proposal, as --json prints it."""
        return {
            "set": list(self.settings),
            "memory_bytes": round(self.memory),
            "same_result": self.is_same,
        }

    def __str__(self) -> str:
        words = " ".join(f"--set {setting}" for setting in self.settings)
        return f"{words} ({self.memory / 1e9:.3g} GB)"


def check_fits_machine(run: "PlannedRun", memory: "MemoryEstimate") -> None:
    """Check that a training fits all memory of its device, whatever else is running now.

    A GPU that is full makes iddm halve the micro-batch, so there one image at once has to fit; so
    it has where iddm chooses the micro-batch.

    Raises:
        UsageError: It does not; the hint names the settings with which it would.
    """
    from iddm_cli.build.memory import count_fitting
    from iddm_cli.engine.device import all_memory
    from iddm_cli.machine.memory import total_memory

    device, room = run.compute.device, find_room(run)
    is_auto = run.profile.training.micro_batch == "auto"
    is_decided_later = is_auto or device.type != "cpu"
    if memory.total <= room or (is_decided_later and count_fitting(memory, room)):
        return
    place = total_memory().source if device.type == "cpu" else str(device)
    raise UsageError(
        f"this training takes about {memory.total * run.sharing / 1e9:.3g} GB of memory, and "
        f"{place} has {all_memory(device) / 1e9:.3g} GB",
        advise_smaller(run, memory, room),
    )


def find_room(run: "PlannedRun") -> float:
    """Return the bytes that each process of a training can have on its device at most."""
    from iddm_cli.build.memory import SYSTEM_SHARE
    from iddm_cli.engine.device import all_memory

    return SYSTEM_SHARE * all_memory(run.compute.device) / run.sharing


def find_free_room(run: "PlannedRun", memory: "MemoryEstimate") -> float:
    """Return the bytes of the main memory that each process can have now, with those it has."""
    from iddm_cli.machine.memory import free_memory, used_memory

    return free_memory().free / run.sharing + min(memory.program, used_memory())


class Shortage(NamedTuple):
    """A training that takes more memory than is free now.

    Attributes:
        warning: By how much; "" where there is enough.
        proposals: What to set instead.
    """

    warning: str
    proposals: list[Proposal]


def find_shortage(run: "PlannedRun", memory: "MemoryEstimate") -> Shortage:
    """Return whether a training in one process takes more main memory than is free."""
    from iddm_cli.build.memory import describe_shortage

    warning = ""
    if run.processes == 1:
        warning = describe_shortage(run.profile, run.pack, run.compute, memory=memory)
    room = find_free_room(run, memory)
    return Shortage(warning, propose_smaller(run, memory, room) if warning else [])


def advise_smaller(run: "PlannedRun", memory: "MemoryEstimate", room: float) -> str:
    """Return what to set, so that the training fits `room` bytes in each process."""
    return describe_proposals(propose_smaller(run, memory, room))


def propose_smaller(run: "PlannedRun", memory: "MemoryEstimate", room: float) -> list[Proposal]:
    """Return settings with which the training fits: with the same result, and another network."""
    changes = ((True, iter_same_results(run.profile)), (False, iter_other_networks(run.profile)))
    found = (
        next(_iter_fitting(run, memory, room, some, is_same=is_same), None)
        for is_same, some in changes
    )
    return [proposal for proposal in found if proposal is not None]


def describe_proposals(proposals: Sequence[Proposal]) -> str:
    """Return what to set, in a sentence for each proposal."""
    if not proposals:
        return "Not even one image at once fits; choose a much smaller network and image size."
    only = "Another" if len(proposals) > 1 else "Only another"
    return " ".join(
        f"These settings fit, and change no more than the last bits: {proposal}."
        if proposal.is_same
        else f"{only} network fits with: {proposal}."
        for proposal in proposals
    )


def _iter_fitting(
    run: "PlannedRun",
    memory: "MemoryEstimate",
    room: float,
    changes: "Iterator[Change]",
    *,
    is_same: bool,
) -> Iterator[Proposal]:
    """Yield those of some changes with which the training fits, in micro-batches if need be."""
    from iddm_cli.build.memory import count_fitting, divide_evenly

    for settings, profile in changes:
        found = memory if not settings else _estimate(run, profile)
        if found is None or not (fits := count_fitting(found, room)):
            continue
        size = found.micro_batch
        if fits < size:
            size = divide_evenly(size, fits)
            settings = (*settings, f"training.micro_batch={size}")
        if settings:
            needed = found.total - (found.micro_batch - size) * found.per_image
            yield Proposal(settings, needed * run.sharing, is_same)


def _estimate(run: "PlannedRun", profile: "ResolvedProfile") -> "MemoryEstimate | None":
    """Return the memory that the training would take with another profile; None if it cannot be."""
    from iddm_cli.build.memory import estimate_run_memory
    from iddm_cli.errors import IddmError

    try:
        return estimate_run_memory(run._replace(profile=profile).share, run.pack, run.compute)
    except IddmError:
        return None
