"""The team: the processes that train one run together, and what they have to say to each other.

Each process knows by itself which slots of the global batch are its own, and what every slot
holds; so only gradients are exchanged, once for each update, and a few numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Team:
    """A team as one of its members sees it; this one works alone, and needs nobody.

    Attributes:
        rank: Number of this process, from 0.
        size: Processes in all.
        neighbours: Processes on this machine.
        restarted: Whether the team was started again by torchrun after one of it failed.
    """

    rank: int = 0
    size: int = 1
    neighbours: int = 1
    restarted: bool = False

    divided: ClassVar[bool] = False
    """Whether each process keeps only a part of every tensor."""

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def slots(self, batch_size: int) -> Tensor:
        """Return this process's slots of the global batch, [B], int64."""
        return torch.arange(batch_size).tensor_split(self.size)[self.rank]

    def share(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """Return the things that this process takes: every size-th.

        All get as many: the last ones may be done twice, since a sharded network computes only
        where all processes do.
        """
        more = -len(things) % self.size
        return [*things, *[things[-1]] * more][self.rank :: self.size] if things else things

    def wrap(self, backbone: nn.Module, *, steady: bool) -> nn.Module:  # noqa: ARG002
        """Return the backbone such that its gradients become the mean over the team.

        Args:
            backbone: The network.
            steady: Whether every backward pass exchanges gradients, so that all are alike.
        """
        return backbone

    def divide(self, *networks: nn.Module) -> None:
        """Leave this process only its part of these networks, where they are shared out."""

    def unsynchronised(self, backbone: nn.Module) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return a context in which gradients are only added up here."""
        return nullcontext()

    def sum(self, number: Tensor) -> Tensor:
        """Add up a scalar over the team."""
        return number

    def largest(self, number: int) -> int:
        """Return the largest of each member's number."""
        return number

    def most(self, number: Tensor) -> Tensor:
        """Return the largest of each member's scalar, on its device, without waiting for it."""
        return number

    def tell(self, thing: Thing) -> Thing:
        """Return what the leader has; the others' is ignored."""
        return thing

    def gather(self, thing: Thing) -> list[Thing]:
        """Return everybody's thing, by rank, to the leader; the others get nothing."""
        return [thing]

    def whole(self, tensor: Tensor) -> Tensor:
        """Return all of a tensor of which each process may keep a part."""
        return tensor

    def copy(self, tensors: Sequence[Tensor], saved: Sequence[Tensor] | None) -> None:
        """Overwrite these tensors by those that the leader has read.

        Args:
            tensors: Of each process the same.
            saved: The leader's; None elsewhere.
        """
        for tensor, source in zip(tensors, saved or tensors, strict=True):
            tensor.copy_(source)

    def leave(self) -> None:
        """Say goodbye."""


ALONE = Team()


@dataclass(frozen=True)
class Crew(Team):
    """A team of several processes, joined through torch.distributed."""

    def wrap(self, backbone: nn.Module, *, steady: bool) -> nn.Module:
        """Return the backbone such that its gradients become the mean over the team."""
        assert not list(backbone.buffers()), "buffers would have to be kept alike"
        device = next(backbone.parameters()).device
        return DistributedDataParallel(
            backbone,
            device_ids=[device.index] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
            static_graph=steady,
        )

    def unsynchronised(self, backbone: nn.Module) -> AbstractContextManager[object]:
        """Return a context in which gradients are only added up here."""
        assert isinstance(backbone, DistributedDataParallel), "wrap returned it"
        return backbone.no_sync()

    def sum(self, number: Tensor) -> Tensor:
        """Add up a scalar over the team."""
        total = number.clone()
        dist.all_reduce(total)
        return total

    def largest(self, number: int) -> int:
        """Return the largest of each member's number."""
        most = torch.tensor(number)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        return int(most)

    def most(self, number: Tensor) -> Tensor:
        """Return the largest of each member's scalar, on its device, without waiting for it."""
        dist.all_reduce(number, dist.ReduceOp.MAX)
        return number

    def tell(self, thing: Thing) -> Thing:
        """Return what the leader has; the others' is ignored."""
        things = [thing]
        dist.broadcast_object_list(things, device=torch.device("cpu"))
        return things[0]

    def gather(self, thing: Thing) -> list[Thing]:
        """Return everybody's thing, by rank, to the leader; the others get nothing."""
        things: list[Thing] | None = [thing] * self.size if self.leads else None
        dist.gather_object(thing, things)
        return things or []

    def copy(self, tensors: Sequence[Tensor], saved: Sequence[Tensor] | None) -> None:
        """Overwrite these tensors by those that the leader has read."""
        for tensor, source in zip(tensors, saved or tensors, strict=True):
            self.put(tensor, self.told(tensor, source))

    def told(self, tensor: Tensor, source: Tensor) -> Tensor:
        """Return the leader's source, on the device of the tensor it is for."""
        like = here(tensor)
        whole = torch.empty(tensor.shape, dtype=like.dtype, device=like.device)
        if self.leads:
            whole.copy_(source)
        dist.broadcast(whole, src=0)
        return whole

    def put(self, tensor: Tensor, whole: Tensor) -> None:
        """Overwrite what this process keeps of a tensor."""
        tensor.copy_(whole)

    def leave(self) -> None:
        """Say goodbye."""
        dist.destroy_process_group()


@dataclass(frozen=True)
class Sharded(Crew):
    """A team in which each process keeps a part of every tensor (FSDP2).

    Each unit of a network is gathered while it computes, and its gradients are divided again.
    """

    divided: ClassVar[bool] = True

    def wrap(self, backbone: nn.Module, *, steady: bool) -> nn.Module:  # noqa: ARG002
        """Return the backbone, which has been divided: its gradients become the mean by that."""
        return backbone

    def divide(self, *networks: nn.Module) -> None:
        """Leave this process only its shards."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        for network in networks:
            network.to(memory_format=torch.contiguous_format)  # the only one that can be divided
            device = next(network.parameters()).device
            mesh = init_device_mesh(device.type, (self.size,))
            units = network.units() if isinstance(network, HasUnits) else []
            for unit in [*units, network]:
                fully_shard(unit, mesh=mesh)

    @contextmanager
    def unsynchronised(self, backbone: nn.Module) -> Iterator[None]:
        """Return a context in which gradients are only added up here."""
        from torch.distributed.fsdp import FSDPModule

        assert isinstance(backbone, FSDPModule), "wrap has made it one"
        backbone.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            backbone.set_requires_gradient_sync(True)

    def whole(self, tensor: Tensor) -> Tensor:
        """Return all of a tensor; every process must ask at the same time."""
        from torch.distributed.tensor import DTensor

        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def put(self, tensor: Tensor, whole: Tensor) -> None:
        """Overwrite what this process keeps of a tensor."""
        from torch.distributed.tensor import DTensor, distribute_tensor

        if isinstance(tensor, DTensor):
            whole = distribute_tensor(whole, tensor.device_mesh, tensor.placements)
        tensor.copy_(whole)


@runtime_checkable
class HasUnits(Protocol):
    """A network that says into which parts it can be divided."""

    def units(self) -> list[nn.Module]:
        """Return them."""


def here(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process keeps: all of it, unless it is sharded."""
    local: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local
