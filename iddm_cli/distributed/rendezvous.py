"""The meeting: how the processes of a team find each other, and what tells that one is gone."""

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

from iddm_cli.distributed.group import Crew, Sharded, Team
from iddm_cli.errors import IddmError, first_line

MEETING = "iddm/meeting"


def join(
    where: str,
    *,
    rank: int,
    size: int,
    neighbours: int,
    seconds: float,
    restarted: bool = False,
    sharded: bool = False,
) -> Team:
    """Meet the other processes.

    Args:
        where: file://PATH that all can see, or env:// with MASTER_ADDR and MASTER_PORT set.
        rank: Number of this process.
        size: Processes in all.
        neighbours: Processes on this machine.
        seconds: How long one may keep the others waiting.
        restarted: Whether torchrun has started the team again.
        sharded: Whether weights are divided among the processes.

    Raises:
        IddmError: They do not meet in time.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    patience = timedelta(seconds=seconds)
    try:
        store = _store(where, rank, size, patience)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    except (dist.DistError, RuntimeError, ValueError, OSError) as error:
        raise IddmError(
            f"process {rank} of {size} did not meet the others: {first_line(error)}",
            "See that all are started, that they reach MASTER_ADDR and MASTER_PORT, and that "
            "runtime.timeout is long enough.",
        ) from error
    kind = Sharded if sharded else Crew
    return kind(rank=rank, size=size, neighbours=neighbours, restarted=restarted)


def _store(where: str, rank: int, size: int, patience: timedelta) -> Store:
    """Open the table through which the processes find each other."""
    store, _, _ = next(rendezvous(where, rank, size, timeout=patience))
    store.set_timeout(patience)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or where != "env://":
        return store
    return _fresh_store(store, rank, size, patience)


def _fresh_store(agents: Store, rank: int, size: int, patience: timedelta) -> Store:
    """Let the leader serve a table of its own, and tell the others where through torchrun's.

    torchrun keeps one table for all its restarts, in which the addresses of processes that are
    gone still stand (torch 2.11 to 2.14), so a team that is started again would call them.
    """
    if rank == 0:
        host = _own_address(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        table = TCPStore(host, 0, size, True, patience, wait_for_workers=False)
        agents.set(MEETING, f"{host} {table.port}")
        return table
    until = time.monotonic() + patience.total_seconds()
    while True:
        host, port = agents.get(MEETING).decode().split()
        try:
            return TCPStore(
                host, int(port), size, False, timedelta(seconds=5), wait_for_workers=False
            )
        except (dist.DistError, RuntimeError):
            # It was the last team's; this one's leader has not come yet.
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _own_address(peer: str, port: int) -> str:
    """Return the address of this machine that a peer can reach; nothing is sent."""
    family, kind, *_, address = socket.getaddrinfo(peer, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


CONTACT = ("gloo", "nccl", "connection", "timed out", "timeout", "socket", "store", "peer")
"""Words in what torch.distributed raises, as plain RuntimeErrors, where another process is gone."""


def is_lost_contact(error: BaseException) -> bool:
    """Say whether an error only tells that another process of the team is gone."""
    if isinstance(error, dist.DistError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in words for word in CONTACT)
