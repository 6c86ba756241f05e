"""Devices: which are available, which precision each computes natively, what decides the bits."""

import gc

import pytest
import torch

from iddm_cli.engine import device
from iddm_cli.errors import UsageError
from iddm_cli.machine import garbage


def test_a_device_that_is_not_there_is_a_usage_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="--device cuda:3") as refused:
        device.choose_device("cuda:3")
    assert refused.value.exit_code == 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose_device("cuda:1") == torch.device("cuda:1")
    assert device.choose_device("auto") == torch.device("cuda:0")
    with pytest.raises(UsageError, match="sees 2 CUDA devices"):
        device.choose_device("cuda:2")


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_taken_only_where_it_is_computed_natively(monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    cpu = torch.device("cpu")
    assert device.choose_precision("auto", cpu) == ("bf16" if native else "fp32")
    assert device.choose_precision("fp32", cpu) == "fp32"


def test_large_blocks_are_kept_without_harm():
    device.keep_large_blocks()
    assert torch.ones(10**6).sum() == 10**6


def test_garbage_is_collected_as_usual_once_a_process_computes():
    usual = gc.get_threshold()
    garbage.defer_collection()
    assert gc.get_threshold() != usual
    device.setup_process(1)
    assert gc.get_threshold() == usual
    gc.unfreeze()


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_what_the_machine_lacks_is_a_usage_error_that_says_what_to_do(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"--device {name}") as refused:
        device.choose_device(name)
    assert refused.value.exit_code == 2
    assert "--device auto" in refused.value.hint
    assert device.choose_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(("capability", "wanted"), [((7, 5), "fp32"), ((8, 0), "bf16")])
def test_a_gpu_takes_bf16_from_ampere_on(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert device.choose_precision("auto", torch.device("cuda", 0)) == wanted
    assert device.choose_precision("fp16", torch.device("cuda", 0)) == "fp16"


def test_what_decides_the_bits_is_written_down():
    bits = device.numerics(torch.device("cpu"), "bf16")
    assert bits == {
        "torch": torch.__version__, "device": "cpu", "threads": torch.get_num_threads(),
        "precision": "bf16", "kernels": "reference", "tf32": None, "world_size": 1,
    }  # fmt: skip


@pytest.fixture
def threads(monkeypatch):
    """Sixteen threads by torch's own choice; what is set instead."""
    chosen = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(device.system_limits, "count_startable_threads", lambda wanted: wanted)
    monkeypatch.setattr(device.cpus, "read_quota", lambda: None)
    monkeypatch.setattr(device.cpus, "read_job_cores", lambda: None)
    return chosen


@pytest.mark.parametrize(
    ("quota", "job", "processes", "chosen"),
    [
        (None, None, 1, []),
        (None, None, 4, [4]),
        (2.0, None, 1, [2]),
        (7.9, None, 1, [7]),
        (0.5, None, 1, [1]),
        (99.0, None, 1, []),
        (8.0, None, 4, [2]),
        (None, 4, 1, [4]),
        (None, 8, 2, []),
    ],
)
def test_threads_stay_within_the_quota(threads, monkeypatch, quota, job, processes, chosen):
    monkeypatch.setattr(device.cpus, "read_quota", lambda: quota)
    monkeypatch.setattr(device.cpus, "read_job_cores", lambda: job)
    device.setup_process(0, processes)
    assert threads == (chosen or ([16 // processes] if processes > 1 else []))


def test_what_the_user_sets_comes_before_the_quota(threads, monkeypatch):
    monkeypatch.setattr(device.cpus, "read_quota", lambda: 2.0)
    device.setup_process(12)
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    device.setup_process(0)
    assert threads == [12]


def test_threads_that_cannot_be_started_are_done_without_or_refused(threads, monkeypatch):
    notices = []
    monkeypatch.setattr(device, "notify_once", notices.append)
    monkeypatch.setattr(device.system_limits, "count_startable_threads", lambda _: 6)
    device.setup_process(0)
    assert threads == [3]
    assert "computing in 3 instead of 16 threads" in notices[0]
    with pytest.raises(UsageError, match=r"runtime\.threads is 8"):
        device.setup_process(8)
    monkeypatch.setattr(device.system_limits, "count_startable_threads", lambda _: 0)
    device.setup_process(1)
    assert threads[-1] == 1


@pytest.mark.parametrize(
    ("setting", "convolutions", "products"),
    [("none", False, False), ("all", True, True), ("convolutions", True, False)],
)
def test_tf32_is_set_up_for_convolutions_or_all_products(setting, convolutions, products):
    try:
        device.setup_tf32(setting)
        assert torch.backends.cudnn.allow_tf32 == convolutions
        assert torch.backends.cuda.matmul.allow_tf32 == products
        assert not torch.backends.cudnn.benchmark
    finally:
        device.setup_tf32("convolutions")  # PyTorch's default


def test_tf32_decides_the_bits_of_fp32_on_gpus_alone():
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert device.describe_tf32("all", gpu, "fp32") == "all"
    assert device.describe_tf32("none", gpu, "fp32") == "none"
    # What every run did before the setting existed: it must resume bit for bit.
    assert device.describe_tf32("convolutions", gpu, "fp32") is None
    assert device.describe_tf32("all", gpu, "bf16") is None
    assert device.describe_tf32("all", cpu, "fp32") is None
    assert device.numerics(cpu, "fp32", tf32="all")["tf32"] is None
