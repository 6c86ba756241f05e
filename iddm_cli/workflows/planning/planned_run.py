"""A training that is planned, and the share of each of its processes."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.profile import ResolvedProfile


class PlannedRun(NamedTuple):
    """A training that is planned.

    Attributes:
        profile: The profile.
        pack: The dataset.
        compute: Where one of its processes computes.
        processes: Number of processes.
    """

    profile: "ResolvedProfile"
    pack: "Pack"
    compute: "ComputeContext"
    processes: int

    @property
    def share(self) -> "ResolvedProfile":
        """The profile of one process: with its share of the batch."""
        training = self.profile.training
        size = -(-training.batch_size // self.processes)
        update = {"training": training.model_copy(update={"batch_size": size})}
        return self.profile.model_copy(update=update)

    @property
    def steps(self) -> int:
        """Number of updates of the whole training."""
        from iddm_cli.profiles.training_length import count_steps

        return count_steps(self.profile.training, self.pack.count)

    @property
    def sharing(self) -> int:
        """Number of processes that share the memory of the device."""
        return self.processes if self.compute.device.type == "cpu" else 1
