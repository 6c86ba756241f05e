"""A served model of a few thousand random weights, and a server of it in a thread."""

import dataclasses
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import torch

from iddm_cli.build.networks import build_denoiser, image_shape
from iddm_cli.profiles.profile import Profile
from iddm_cli.serving.http.security import LOOPBACK, Policy
from iddm_cli.serving.http.server import Server
from iddm_cli.serving.http.service import Service
from iddm_cli.serving.http.sockets import listen
from iddm_cli.serving.scheduling.batch_invariant import ON_CPU, Exact
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.served_model import ServedModel

CLASSES = ("cat", "dog", "1")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep tiny networks from spreading over threads that wait for each other."""
    torch.set_num_threads(1)


def make_model(name="pets", classes=CLASSES, **sampling) -> ServedModel:
    """Return a model whose pictures differ by class, seed and index."""
    tables = {
        "data": {"channels": 3, "image_size": [8, 16]},
        "model": {"base_channels": 8, "channel_multipliers": [1, 2], "blocks_per_level": 1,
                  "attention_levels": [1], "head_channels": 8, "norm_groups": 4},
        "sampling": {"steps": 5, "guidance": 2.0} | sampling,
    }  # fmt: skip
    profile = Profile.model_validate(tables)
    denoiser = build_denoiser(profile, len(classes)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(len(name))
    for parameter in denoiser.parameters():
        parameter.normal_(std=0.12, generator=generator)
    shape = image_shape(profile.data)
    exact = Exact(denoiser, shape, blocks=ON_CPU, lanes=2)
    return ServedModel(name, name, 500, classes, shape, profile.sampling, denoiser, exact)


class Running:
    """A server that answers."""

    def __init__(self, server: Server, port: int, told: list[str]) -> None:
        self.server = server
        self.service = server.service
        self.port = port
        self.told = told
        self.url = f"http://127.0.0.1:{port}"

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def until(self, holds, seconds=20.0) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.01)


@contextmanager
def serving(*models: ServedModel, policy=None, buffer=None, **limits):
    """Serve models in a thread of this process, on a free port.

    `buffer` is how many bytes the system keeps for a reader who does not read.
    """
    told: list[str] = []
    service = Service({m.name: m for m in models}, Limits(**limits), told.append)
    up = threading.Event()
    server = Server(service, policy or Policy(LOOPBACK), up.set)
    listener = listen("127.0.0.1", 0)
    if buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert up.wait(20)
    try:
        yield Running(server, port, told)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "it stops"


@pytest.fixture(scope="session")
def model():
    return make_model()


@pytest.fixture(scope="module")
def running(model):
    with serving(model, make_model("plain", classes=())) as server:
        yield server


@pytest.fixture
def client(running):
    with running.client() as client:
        yield client


def slowed(model: ServedModel, seconds: float) -> ServedModel:
    """Return the model, each of its steps taking at least so long."""
    exact = model.exact

    class Slow:
        holds = True

        def __call__(self, *asked):
            time.sleep(seconds)
            return exact(*asked)

    return dataclasses.replace(model, exact=Slow())
