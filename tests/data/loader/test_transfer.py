"""Copies to the device: from pinned memory to a GPU, so that nothing waits."""

from types import SimpleNamespace

import pytest
import torch

from iddm_cli.data.loader.transfer import copy_to


class Noted:
    """Notes what a tensor is asked to do."""

    def __init__(self, device: str) -> None:
        self.device = SimpleNamespace(type=device)
        self.asked: list[object] = []

    def pin_memory(self):
        self.asked.append("pin")
        return self

    def to(self, device, **how):
        self.asked.append((device.type, how))
        return self


def test_a_tensor_that_is_there_stays():
    tensor = torch.arange(3)
    assert copy_to(torch.device("cpu"), tensor) is tensor


@pytest.mark.parametrize(
    ("source", "target", "asked"),
    [
        ("cpu", "cuda", ["pin", ("cuda", {"non_blocking": True})]),
        ("cuda", "cuda", [("cuda", {})]),
        ("cpu", "mps", [("mps", {})]),
    ],
)
def test_a_gpu_reads_pinned_memory(source, target, asked):
    tensor = Noted(source)
    copy_to(torch.device(target), tensor)
    assert tensor.asked == asked
