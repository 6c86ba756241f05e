"""Checks that compute: what is known of GPUs, a training step and an image."""

import pytest

from iddm_cli.workflows.diagnosis import compute_checks
from iddm_cli.workflows.diagnosis.compute_checks import inspect_torch, judge_gpus, try_device
from iddm_cli.workflows.diagnosis.findings import Finding

GPU = {"name": "H100", "memory_bytes": 80e9, "capability": "9.0"}


@pytest.mark.parametrize(
    ("gpus", "built", "driver", "status", "text"),
    [
        ([GPU], "13.0", "580.1", "ok", "H100, 80 GB, compute 9.0; driver 580.1, CUDA 13.0"),
        ([], None, "580.1", "warning", "built without CUDA"),
        ([], "13.0", "470.0", "warning", "CUDA 13.0 cannot use a GPU with NVIDIA driver 470.0"),
        ([], None, "", "ok", "none"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_a_warning(monkeypatch, gpus, built, driver, status, text):
    monkeypatch.setattr(compute_checks, "read_nvidia_driver", lambda: driver)
    facts = {"gpus": gpus, "cuda": built, "devices": ["cpu"]}
    found = judge_gpus(Finding("ok", "PyTorch", facts=facts))
    assert (found.status, text in found.text) == (status, True), found.text
    assert bool(found.advice) == (status == "warning")


def test_without_pytorch_nothing_is_known_of_gpus():
    assert judge_gpus(Finding("failed", "no PyTorch")).status == "failed"


def test_pytorch_and_its_devices_are_described():
    found = inspect_torch()
    assert found.text.startswith("PyTorch ")
    assert found.facts["devices"][0] == "cpu"
    assert found.facts["cpu_precision"] in ("fp32", "bf16")


def test_a_device_trains_a_step_and_generates_an_image():
    found = try_device("cpu")
    assert found.status == "ok"
    assert found.facts["loss"] > 0


class FakeProcess:
    """A new process that ends at once, or never."""

    exitcode = -11

    def __init__(self, target, args) -> None:
        self.sender = args[0]

    def start(self) -> None:
        pass

    def join(self, seconds=None) -> None:
        pass

    def kill(self) -> None:
        self.killed = True


def fake_context(monkeypatch, answer):
    """Let the new process answer with a finding, crash (None), or hang."""
    real = compute_checks.multiprocessing.get_context("spawn")

    class Context:
        Process = FakeProcess

        def Pipe(self, duplex):  # noqa: N802
            receiver, sender = real.Pipe(duplex=duplex)
            if answer == "hang":
                self.kept = sender
                return receiver, type("Other", (), {"close": lambda self: None})()
            if answer is not None:
                sender.send(answer)
            return receiver, sender

    monkeypatch.setattr(compute_checks.multiprocessing, "get_context", lambda _: Context())


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (Finding("ok", "fine"), "ok", "fine"),
        (None, "failed", "ended with exit code -11"),
        ("hang", "failed", "no answer within"),
    ],
)
def test_a_process_that_crashes_or_hangs_is_a_finding(monkeypatch, answer, status, text):
    fake_context(monkeypatch, answer)
    found = compute_checks.run_in_process(inspect_torch, timeout=0.01)
    assert (found.status, text in found.text) == (status, True)


class Sender:
    """Keeps what is sent."""

    def send(self, found) -> None:
        self.found = found


def test_what_goes_wrong_in_the_process_is_sent(monkeypatch):
    from iddm_cli.display import console

    monkeypatch.setattr(console, "silence", lambda: None)
    sender = Sender()
    compute_checks._report(sender, try_device, ("cuda:99",))
    assert sender.found.status == "failed"
    assert "cuda:99" in sender.found.text
