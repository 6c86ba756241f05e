"""The trainer of a run: its micro-batch."""

from types import SimpleNamespace

import torch

from iddm_cli.build import trainer
from iddm_cli.build.compute import ComputeContext
from iddm_cli.distributed.group import SINGLE_PROCESS
from tests.build.profiles import tiny_profile


def test_micro_batch_auto_is_an_estimate_on_the_cpu_and_measured_elsewhere(monkeypatch):
    monkeypatch.setattr(trainer, "largest_micro_batch", lambda *_: 3)
    profile = tiny_profile(training={"micro_batch": "auto"})

    def decide(device: str) -> object:
        compute = ComputeContext(torch.device(device), "fp32")
        pack = SimpleNamespace()
        return trainer.decide_micro_batch(profile, pack, compute, SINGLE_PROCESS).micro_batch

    assert decide("cpu") == 3
    assert decide("cuda") == "auto"
    fixed = tiny_profile(training={"micro_batch": 5})
    compute = ComputeContext(torch.device("cpu"), "fp32")
    kept = trainer.decide_micro_batch(fixed, SimpleNamespace(), compute, SINGLE_PROCESS)
    assert kept.micro_batch == 5
