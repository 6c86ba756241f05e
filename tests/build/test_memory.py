"""Memory of a run: the micro-batch that fits is as large as the estimate allows."""

from types import SimpleNamespace

import pytest
import torch

from iddm_cli.build import memory
from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.memory import MEMORY_SHARE, choose_micro_batch, estimate_run_memory
from iddm_cli.engine import device
from iddm_cli.engine import memory as engine_memory
from iddm_cli.machine.memory import MemoryBound
from tests.build.profiles import tiny_profile


@pytest.mark.parametrize("batch_size", [64, 48])
def test_auto_takes_as_many_pictures_as_fit_by_the_estimate(monkeypatch, batch_size) -> None:
    chosen = tiny_profile(training={"micro_batch": "auto", "batch_size": batch_size})
    pack = SimpleNamespace(
        classes=("a",), pixels_bytes=0, record=SimpleNamespace(stored=True), channels=3
    )
    place = ComputeContext(torch.device("cpu"), "fp32")
    monkeypatch.setattr(engine_memory, "used_memory", lambda: 0)  # which grows while it is tested
    found = estimate_run_memory(chosen, pack, place)
    one = found.activations / batch_size
    rest = found.total - found.activations
    for most in (1000, 20, 3, 0.5):
        free = (rest + most * one) / MEMORY_SHARE + 1
        monkeypatch.setattr(device, "free_memory", lambda _, free=free: free)
        monkeypatch.setattr(device, "all_memory", lambda _: 2**40)
        monkeypatch.setattr(memory, "used_memory", lambda: 0)
        found_size = choose_micro_batch(chosen, pack, place)
        size = found_size.size
        assert size <= max(1, most)
        assert found_size.most == batch_size, "all of the memory holds the batch"
        assert size == batch_size or 2 * size > most or size == 1, "not smaller than it must be"


def test_the_frozen_teacher_of_a_distilled_run_is_counted(monkeypatch) -> None:
    monkeypatch.setattr(engine_memory, "used_memory", lambda: 0)
    cpu = ComputeContext(torch.device("cpu"), "fp32")

    def estimate(classes: tuple[str, ...], **distillation):
        pack = SimpleNamespace(
            classes=classes, pixels_bytes=0, record=SimpleNamespace(stored=True), channels=3
        )
        profile = tiny_profile(distillation={"teacher": "first", **distillation})
        return estimate_run_memory(profile, pack, cpu)

    guided, plain = estimate(("a",), guidance=2.0), estimate(("a",))
    assert guided.teacher == guided.total - plain.total == 4 * guided.parameters
    assert plain.teacher == estimate((), guidance=2.0).teacher == 0, "the data link the path"


def test_a_shortage_of_main_memory_is_reported_before_training(monkeypatch) -> None:
    pack = SimpleNamespace(
        classes=("a",), pixels_bytes=0, record=SimpleNamespace(stored=True), channels=3
    )
    cpu = ComputeContext(torch.device("cpu"), "fp32")
    profile = tiny_profile(training={"batch_size": 48})
    monkeypatch.setattr(memory, "used_memory", lambda: 2**40)
    monkeypatch.setattr(engine_memory, "used_memory", lambda: 0)
    found = estimate_run_memory(profile, pack, cpu)
    needed = found.total - found.program
    for free in (needed, needed - 1):
        bound = MemoryBound(2**40, free, "the container or job (cgroup)")
        monkeypatch.setattr(memory, "free_memory", lambda bound=bound: bound)
        told = memory.describe_shortage(profile, pack, cpu)
        assert ("the container" in told and "micro_batch=24" in told) == (free < needed)
    bound = MemoryBound(2**40, 1, "this machine")
    monkeypatch.setattr(memory, "free_memory", lambda: bound)
    advised = "not even one image at once fits, but training.recompute=blocks takes less"
    assert advised in memory.describe_shortage(profile, pack, cpu)
    recomputing = tiny_profile(training={"batch_size": 48, "recompute": "blocks"})
    assert "recompute" not in memory.describe_shortage(recomputing, pack, cpu)
    auto = tiny_profile(training={"micro_batch": "auto"})
    assert memory.describe_shortage(auto, pack, cpu) == ""
    gpu = ComputeContext(torch.device("cuda", 0), "fp32")
    assert memory.describe_shortage(profile, pack, gpu) == ""


@pytest.mark.parametrize(
    ("share", "most", "size"), [(48, 48, 48), (48, 47, 24), (48, 20, 16), (5, 2, 2), (7, 1, 1)]
)
def test_micro_batches_are_as_even_as_they_can_be(share, most, size) -> None:
    assert memory.divide_evenly(share, most) == size


def test_the_images_that_fit_are_those_of_the_estimate() -> None:
    parts = {"parameters": 1, "state": 100, "copies": 0, "saving": 20, "data": 0, "program": 30}
    found = engine_memory.MemoryEstimate(**parts, activations=80, micro_batch=8)
    assert [memory.count_fitting(found, room) for room in (230, 199, 160, 159, 100)] == [
        8, 4, 1, 0, 0
    ]  # fmt: skip


def test_a_gpu_is_probed_and_a_number_is_taken_as_it_is():
    pack, gpu = SimpleNamespace(), ComputeContext(torch.device("cuda", 0), "fp32")
    auto = tiny_profile(training={"micro_batch": "auto"})
    found = choose_micro_batch(auto, pack, gpu)
    assert (found.requested, found.size, found.most) == ("auto", 64, 64)
    fixed = tiny_profile(training={"micro_batch": 5})
    found = choose_micro_batch(fixed, pack, ComputeContext(torch.device("cpu"), "fp32"))
    assert (found.requested, found.size, found.most) == (5, 5, 5)
