"""CUDA graphs: which calls are recorded, and what happens where none can be."""

import pytest
import torch

from iddm_cli import notices
from iddm_cli.engine.acceleration import cuda_graphs
from iddm_cli.engine.acceleration.cuda_graphs import (
    MOST_GRAPHS,
    WARM_CALLS,
    GraphedDenoiser,
    graph_calls,
)
from tests.engine.acceleration.test_recompute import build


class Recorder:
    """A denoiser, and what takes the place of recording its calls."""

    def __init__(self) -> None:
        self.eager: list[int] = []
        self.replayed: list[int] = []
        self.captured: list[int] = []

    def denoise(self, x_t, t, label):
        self.eager.append(len(x_t))
        return 2 * x_t

    def capture(self, denoise, inputs):
        self.captured.append(len(inputs[0]))

        def replay(*new):
            self.replayed.append(len(new[0]))
            return 2 * new[0]

        return replay


def call(denoise, count: int) -> None:
    x = torch.randn(count, 1, 2, 2)
    assert torch.equal(denoise(x, torch.zeros(count), torch.zeros(count)), 2 * x)


def test_the_first_shapes_are_recorded_and_replayed():
    recorder = Recorder()
    graphed = GraphedDenoiser(recorder.denoise, recorder.capture)
    shapes = list(range(8, 8 - MOST_GRAPHS, -1))
    for count in [*shapes, 1]:
        for _ in range(10):
            call(graphed, count)
    assert recorder.captured == shapes
    assert recorder.replayed == [n for n in shapes for _ in range(10 - WARM_CALLS)]
    assert recorder.eager == [n for n in shapes for _ in range(WARM_CALLS)] + [1] * 10


def test_where_a_call_cannot_be_recorded_it_is_computed(monkeypatch):
    heard: list[str] = []
    board = notices.NoticeBoard()
    board.listen(heard.append)
    monkeypatch.setattr(cuda_graphs, "notify_once", board.notify_once)
    recorder, tried = Recorder(), []

    def fail(denoise, inputs):
        tried.append(1)
        raise RuntimeError("operation not permitted when stream is capturing\nand a trace")

    graphed = GraphedDenoiser(recorder.denoise, fail)
    for count in [4] * 6 + [2] * 6:
        call(graphed, count)
    assert recorder.eager == [4] * 6 + [2] * 6
    assert tried == [1]
    assert heard == [
        "sampling without CUDA graphs: operation not permitted when stream is capturing"
    ]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_only_gpus_have_graphs(device):
    network = build("unet").to(device)
    assert graph_calls(network) is network
    module = torch.nn.Identity()
    assert graph_calls(module) is module
