"""Rendezvous: how the processes of a group find each other, and how a lost process shows."""

import os
import socket
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import (  # type: ignore[attr-defined]
    Store,
    TCPStore,
    rendezvous,
)

from iddm_cli.distributed.group import DDPGroup, FSDPGroup, ProcessGroup
from iddm_cli.errors import IddmError, first_line

REACH_HINT = (
    "Check that all processes were started, that they reach MASTER_ADDR and MASTER_PORT, and that "
    "runtime.timeout is long enough."
)

ELASTIC_HINT = (
    "If machines may join under torchrun, set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on all of them."
)
"""Else torchrun gives those that join another address than the others (torch 2.14)."""

NO_ADDRESS_WORDS = ("Unable to find address for", "unable to resolve hostname")
"""Words of gloo's errors where it finds no network interface, or none for the machine's name."""

STORE_KEY = "iddm/meeting"
"""Key in torchrun's store under which rank 0 publishes the address of its own store."""


def init_group(
    init_method: str,
    *,
    rank: int,
    world_size: int,
    local_world_size: int,
    seconds: float,
    is_restart: bool = False,
    sharded: bool = False,
) -> ProcessGroup:
    """Join the process group. Collective: every process must call it.

    Args:
        init_method: file://PATH that all processes see, or env:// with MASTER_ADDR and
            MASTER_PORT set.
        rank: Number of this process.
        world_size: Number of processes.
        local_world_size: Number of processes on this machine.
        seconds: How long one process may keep the others waiting.
        is_restart: Whether torchrun restarted the group.
        sharded: Whether weights are sharded among the processes (FSDP).

    Raises:
        IddmError: The processes do not find each other in time.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    timeout = timedelta(seconds=seconds)
    try:
        store = _open_store(init_method, rank, world_size, timeout)
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=timeout
        )
    except (dist.DistError, RuntimeError, ValueError, OSError) as error:
        raise IddmError(
            f"process {rank} of {world_size} did not find the others: {first_line(error)}",
            advise_meeting(str(error)),
        ) from error
    group_class = FSDPGroup if sharded else DDPGroup
    return group_class(rank, world_size, local_world_size, is_restart)


def advise_meeting(message: str) -> str:
    """Return what to check where the processes did not find each other, by torch's message."""
    env = os.environ
    if any(words in message for words in NO_ADDRESS_WORDS):
        name = env.get("GLOO_SOCKET_IFNAME", "the one of this machine's name")
        return (
            f"Gloo needs a network interface that is up, and {name} is not. Name another one "
            "in GLOO_SOCKET_IFNAME; for processes on one machine lo, after: ip link set lo up"
        )
    is_restartable = int(env.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0
    if is_restartable and env.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return f"{REACH_HINT} {ELASTIC_HINT}"
    return REACH_HINT


def _open_store(init_method: str, rank: int, world_size: int, timeout: timedelta) -> Store:
    """Open the key-value store through which the processes find each other."""
    store, _, _ = next(rendezvous(init_method, rank, world_size, timeout=timeout))
    store.set_timeout(timeout)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or init_method != "env://":
        return store
    return _open_fresh_store(store, rank, world_size, timeout)


def _open_fresh_store(agent_store: Store, rank: int, world_size: int, timeout: timedelta) -> Store:
    """Let rank 0 serve a store of its own, and publish its address through torchrun's.

    torchrun keeps one store over all restarts, which still holds the addresses of processes that
    have died (torch 2.11 to 2.14); a restarted group would connect to those.
    """
    if rank == 0:
        host = _own_address(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        store = TCPStore(host, 0, world_size, True, timeout, wait_for_workers=False)
        agent_store.set(STORE_KEY, f"{host} {store.port}")
        return store
    deadline = time.monotonic() + timeout.total_seconds()
    while True:
        host, port = agent_store.get(STORE_KEY).decode().split()
        try:
            return TCPStore(
                host, int(port), world_size, False, timedelta(seconds=5), wait_for_workers=False
            )
        except (dist.DistError, RuntimeError):
            # The address is that of the group before the restart; rank 0 is not up yet.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _own_address(peer: str, port: int) -> str:
    """Return the address of this machine that a peer can reach; sends nothing."""
    family, kind, *_, address = socket.getaddrinfo(peer, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


CONTACT_WORDS = ("gloo", "nccl", "connection", "timed out", "timeout", "socket", "store", "peer")
"""Words in the plain RuntimeErrors that torch.distributed raises where another process is gone."""


def is_lost_contact(error: BaseException) -> bool:
    """Return whether an error means only that another process of the group is gone."""
    if isinstance(error, dist.DistError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in message for word in CONTACT_WORDS)
