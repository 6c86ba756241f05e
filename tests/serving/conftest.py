"""A served model with a few thousand random weights, and a server of it in a thread."""

import dataclasses
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.build.serving import build_served_model, build_upscaler_traits
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.engine.reduced_precision.batch_invariant import CPU_BLOCKS, BatchInvariantDenoiser
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.serving.http.security import LOOPBACK_HOSTS, AccessPolicy
from iddm_cli.serving.http.server import ImageServer
from iddm_cli.serving.http.service import GenerationService
from iddm_cli.serving.http.sockets import open_listener
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from tests.threads import one_thread  # noqa: F401

CLASSES = ("cat", "dog", "1")


def make_model(name="pets", classes=CLASSES, **sampling) -> ServedModel:
    """Return a model whose images differ by class, seed and index."""
    tables = {
        "data": {"channels": 3, "image_size": [8, 16]},
        "model": {"base_channels": 8, "channel_multipliers": [1, 2], "blocks_per_level": 1,
                  "attention_levels": [1], "head_channels": 8, "norm_groups": 4},
        "sampling": {"steps": 5, "guidance": 2.0} | sampling,
    }  # fmt: skip
    profile = ResolvedProfile.model_validate(tables)
    denoiser = build_denoiser(profile, len(classes)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(len(name))
    for parameter in denoiser.parameters():
        parameter.normal_(std=0.12, generator=generator)
    shape = profile.data.shape
    batched = BatchInvariantDenoiser(denoiser, shape, blocks=CPU_BLOCKS, num_threads=2)
    return ServedModel(name, name, 500, classes, shape, profile.sampling, denoiser, batched)


def make_upscaler(
    name="large",
    classes=CLASSES,
    *,
    label_drop=0.1,
    precision="fp32",
    values: ValueRange = EIGHT_BIT,
    **sampling,
) -> ServedModel:
    """Return a model that doubles images, whose sides it pads to a multiple of 2."""
    profile = ResolvedProfile.model_validate({
        "data": {"channels": 3, "image_size": [8, 16]},
        "model": {"base_channels": 8, "channel_multipliers": [1, 1, 2], "blocks_per_level": 1,
                  "attention_levels": [2], "head_channels": 8, "norm_groups": 4,
                  "condition": "low_resolution", "upscale_factor": 2},
        "training": {"label_drop": label_drop},
        "sampling": {"steps": 3, "guidance": 2.0 if label_drop else 1.0} | sampling,
    })  # fmt: skip
    denoiser = build_denoiser(profile, len(classes)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(len(name))
    for parameter in denoiser.parameters():
        parameter.normal_(std=0.12, generator=generator)
    images = ImageGenerator(
        denoiser, profile.sampling, num_classes=len(classes), shape=profile.data.shape,
        levels=values.levels, precision=precision,
    )  # fmt: skip
    traits = build_upscaler_traits(profile, values)
    return build_served_model(
        name, images, classes, trained_steps=500, reference=name, values=values, upscaler=traits
    )


class RunningServer:
    """A server that accepts requests, and what it reported to its operator."""

    def __init__(self, server: ImageServer, port: int, reports: list[str]) -> None:
        self.server = server
        self.service = server.service
        self.port = port
        self.reports = reports
        self.url = f"http://127.0.0.1:{port}"

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def wait_until(self, condition, seconds=20.0) -> None:
        """Wait for a condition to become true."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the condition never became true"
            time.sleep(0.01)


@contextmanager
def serving(*models: ServedModel, policy=None, send_buffer=None, **limits):
    """Serve models in a thread of this process, on a free port.

    `send_buffer` is the number of bytes that the system buffers for a client that does not read.
    """
    reports: list[str] = []
    service = GenerationService({m.name: m for m in models}, Limits(**limits), reports.append)
    ready = threading.Event()
    server = ImageServer(service, policy or AccessPolicy(LOOPBACK_HOSTS), ready.set)
    listener = open_listener("127.0.0.1", 0)
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert ready.wait(20)
    try:
        yield RunningServer(server, port, reports)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server stops"


@pytest.fixture(scope="session")
def model():
    return make_model()


@pytest.fixture(scope="module")
def server(model):
    with serving(model, make_model("plain", classes=())) as server:
        yield server


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def slowed(model: ServedModel, seconds: float) -> ServedModel:
    """Return the model with solver steps that take at least `seconds`."""

    class SlowDenoiser:
        is_invariant = True

        def __call__(self, *args):
            time.sleep(seconds)
            return model.batch_denoiser(*args)

    return dataclasses.replace(model, batch_denoiser=SlowDenoiser())
