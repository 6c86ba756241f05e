"""Process groups: the processes that train one run together, and the collectives between them.

Each process computes by itself which slots of the global batch are its own and what every slot
holds, so only gradients are exchanged, once per update, and a few numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def local_tensor(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds: all of it, unless it is sharded."""
    local: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local


@dataclass(frozen=True)
class ProcessGroup:
    """A process group as one of its processes sees it.

    This base class is the contract, and what every collective amounts to where there is only one
    process. Collectives carry the names of torch.distributed; every process must call them, in
    the same order.

    Attributes:
        rank: Number of this process, from 0.
        world_size: Number of processes.
        local_world_size: Number of processes on this machine.
        is_restart: Whether torchrun or srun restarted the group after a failure.
    """

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    is_restart: bool = False

    is_sharded: ClassVar[bool] = False
    """Whether each process holds only a shard of every tensor."""

    @property
    def is_main(self) -> bool:
        """Whether this is the main process (rank 0), which writes files and reports."""
        return self.rank == 0

    def slots(self, batch_size: int) -> Tensor:
        """Return this process's slots of the global batch, [B], int64."""
        return torch.arange(batch_size).tensor_split(self.world_size)[self.rank]

    def shard_items(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share of some items: every world_size-th, from its rank on.

        All processes get equally many: the last item may be repeated, since a sharded network
        computes only where all processes do.
        """
        padding = -len(items) % self.world_size
        if not items:
            return items
        return [*items, *[items[-1]] * padding][self.rank :: self.world_size]

    def wrap_ddp(self, backbone: nn.Module, *, static_graph: bool) -> nn.Module:  # noqa: ARG002
        """Return the backbone such that its gradients become the mean over the group.

        Args:
            backbone: The network.
            static_graph: Whether every backward pass synchronizes gradients, on all processes.
        """
        return backbone

    def shard(self, *networks: nn.Module) -> None:
        """Keep only this process's shard of these networks, where the group shards them."""

    def no_sync(self, backbone: nn.Module) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return a context in which gradients accumulate without synchronization."""
        return nullcontext()

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace the gradients of whole parameters by their means over the group.

        Collective: every process must call it.

        Args:
            parameters: Parameters of a network that is neither wrapped nor sharded, each with a
                gradient.
        """

    def all_reduce_sum(self, number: Tensor) -> Tensor:
        """Return the sum of a scalar over all processes. Collective: every process must call it."""
        return number

    def all_reduce_max(self, number: int) -> int:
        """Return the largest of all processes' numbers. Collective: every process must call it."""
        return number

    def all_reduce_max_tensor(self, number: Tensor) -> Tensor:
        """Return the largest of all processes' scalars, on its device, without waiting for it.

        Collective: every process must call it.
        """
        return number

    def broadcast(self, value: T) -> T:
        """Return the main process's value. Collective: every process must call it."""
        return value

    def gather_object(self, value: T) -> list[T]:
        """Return all processes' values by rank to the main process, an empty list elsewhere.

        Collective: every process must call it.
        """
        return [value]

    def gather_items(self, share: Sequence[T], count: int) -> list[T]:
        """Return the items of all processes to the main process, an empty list elsewhere.

        Collective: every process must call it.

        Args:
            share: What became of this process's share, see `shard_items`; in its order.
            count: Number of items before they were shared out.
        """
        shares = self.gather_object(list(share))
        if not self.is_main:
            return []
        return [shares[i % self.world_size][i // self.world_size] for i in range(count)]

    def full_tensor(self, tensor: Tensor) -> Tensor:
        """Return a whole tensor, assembled from its shards.

        Collective: every process must call it.
        """
        return tensor

    def broadcast_into(self, tensors: Sequence[Tensor], sources: Sequence[Tensor] | None) -> None:
        """Overwrite tensors by those that the main process read from a checkpoint.

        Collective: every process must call it.

        Args:
            tensors: The same ones in every process.
            sources: What the main process read; None elsewhere.
        """
        for tensor, source in zip(tensors, sources or tensors, strict=True):
            tensor.copy_(source)

    def close(self) -> None:
        """Wait until every process needs no other any more; then this process may end.

        Collective: every process must call it.
        """


@dataclass(frozen=True)
class SingleProcess(ProcessGroup):
    """The process group of a training in one process; its collectives return their input."""


SINGLE_PROCESS = SingleProcess()


@dataclass(frozen=True)
class DDPGroup(ProcessGroup):
    """Several processes with a full copy of the network each (DistributedDataParallel)."""

    def wrap_ddp(self, backbone: nn.Module, *, static_graph: bool) -> nn.Module:
        """Return the backbone wrapped in DistributedDataParallel."""
        assert not list(backbone.buffers()), "buffers would have to be synchronized"
        device = next(backbone.parameters()).device
        return DistributedDataParallel(
            backbone,
            device_ids=[device.index] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
            static_graph=static_graph,
        )

    def no_sync(self, backbone: nn.Module) -> AbstractContextManager[object]:
        """Return a context in which gradients accumulate without synchronization."""
        assert isinstance(backbone, DistributedDataParallel), "wrap_ddp returned it"
        return backbone.no_sync()

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Average gradients, in one message. Collective: every process must call it."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        assert len(gradients) == len(parameters), "every process sends as many numbers"
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.world_size
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def all_reduce_sum(self, number: Tensor) -> Tensor:
        """Return the sum of a scalar over all processes. Collective: every process must call it."""
        total = number.clone()
        dist.all_reduce(total)
        return total

    def all_reduce_max(self, number: int) -> int:
        """Return the largest of all processes' numbers. Collective: every process must call it."""
        largest = torch.tensor(number)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def all_reduce_max_tensor(self, number: Tensor) -> Tensor:
        """Return the largest of all processes' scalars. Collective: every process must call it."""
        dist.all_reduce(number, dist.ReduceOp.MAX)
        return number

    def broadcast(self, value: T) -> T:
        """Return the main process's value. Collective: every process must call it."""
        values = [value]
        dist.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def gather_object(self, value: T) -> list[T]:
        """Return all values by rank to the main process. Collective: every process must call it."""
        values: list[T] | None = [value] * self.world_size if self.is_main else None
        dist.gather_object(value, values)
        return values or []

    def broadcast_into(self, tensors: Sequence[Tensor], sources: Sequence[Tensor] | None) -> None:
        """Overwrite tensors by the main process's. Collective: every process must call it."""
        for tensor, source in zip(tensors, sources or tensors, strict=True):
            self.assign_shard(tensor, self.broadcast_tensor(tensor, source))

    def broadcast_tensor(self, tensor: Tensor, source: Tensor) -> Tensor:
        """Return the main process's source, on the device of the tensor that it is for.

        Collective: every process must call it.
        """
        like = local_tensor(tensor)
        full = torch.empty(tensor.shape, dtype=like.dtype, device=like.device)
        if self.is_main:
            full.copy_(source)
        dist.broadcast(full, src=0)
        return full

    def assign_shard(self, tensor: Tensor, full: Tensor) -> None:
        """Overwrite what this process holds of a tensor by its share of the full one."""
        tensor.copy_(full)

    def close(self) -> None:
        """Wait until every process needs no other any more. Collective: every process must call it.

        The group is not destroyed, since its backends may abort the process when it then ends: see
        `exits.skip_destructors`.
        """
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self.all_reduce_max(0)


@dataclass(frozen=True)
class FSDPGroup(DDPGroup):
    """Several processes with a shard of every tensor each (FSDP2, torch's fully_shard).

    Each unit of a network is gathered while it computes, and its gradients are scattered again.
    """

    is_sharded: ClassVar[bool] = True

    def wrap_ddp(self, backbone: nn.Module, *, static_graph: bool) -> nn.Module:  # noqa: ARG002
        """Return the backbone unchanged: `shard` already makes its gradients the mean."""
        return backbone

    def shard(self, *networks: nn.Module) -> None:
        """Keep only this process's shard of these networks."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        for network in networks:
            network.to(memory_format=torch.contiguous_format)  # the only one that can be sharded
            device = next(network.parameters()).device
            mesh = init_device_mesh(device.type, (self.world_size,))
            units = network.units() if isinstance(network, HasUnits) else []
            for unit in [*units, network]:
                # By default the outermost unit stays whole after a forward pass, until a backward
                # pass shards it again. The EMA has none, and its next update needs the shards.
                fully_shard(unit, mesh=mesh, reshard_after_forward=True)

    @contextmanager
    def no_sync(self, backbone: nn.Module) -> Iterator[None]:
        """Return a context in which gradients accumulate without synchronization."""
        from torch.distributed.fsdp import FSDPModule

        assert isinstance(backbone, FSDPModule), "shard has made it one"
        backbone.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            backbone.set_requires_gradient_sync(True)

    def full_tensor(self, tensor: Tensor) -> Tensor:
        """Return a whole tensor from its shards. Collective: every process must call it."""
        from torch.distributed.tensor import DTensor

        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def assign_shard(self, tensor: Tensor, full: Tensor) -> None:
        """Overwrite this process's shard of a tensor."""
        from torch.distributed.tensor import DTensor, distribute_tensor

        if isinstance(tensor, DTensor):
            full = distribute_tensor(full, tensor.device_mesh, tensor.placements)
        tensor.copy_(full)


@runtime_checkable
class HasUnits(Protocol):
    """A network that names the units into which FSDP divides it."""

    def units(self) -> list[nn.Module]:
        """Return the units, outermost first."""
