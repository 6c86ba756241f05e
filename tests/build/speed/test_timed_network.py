"""A timed network: every variant computes what it says, with images of the profile's shape."""

import torch

from iddm_cli.build.speed import timed_network
from iddm_cli.build.speed.timed_network import TimedNetwork, Workload, build_synthetic_loader
from tests.build.profiles import tiny_profile

CPU = torch.device("cpu")


def test_synthetic_images_have_the_shape_and_the_classes_of_the_profile():
    loader = build_synthetic_loader(tiny_profile(data={"channels": 3, "image_size": 8}), 4, CPU)
    x, label = loader.load_batch(0, torch.arange(32))
    assert x.shape == (32, 3, 8, 8)
    assert set(label.tolist()) == {0, 1, 2, 3}
    assert 0.2 < x.std() < 0.5
    again, _ = build_synthetic_loader(
        tiny_profile(data={"channels": 3, "image_size": 8}), 4, CPU
    ).load_batch(0, torch.arange(32))
    assert torch.equal(x, again)


def test_each_kind_of_variant_is_computed(monkeypatch):
    profile = tiny_profile(sampling={"steps": 8})
    network = TimedNetwork(Workload(profile, 2, CPU), "fp32")
    variants = network.build_variants(4, first=True)
    assert [v.kind for v in variants] == ["training", "gradients", "sampling"]
    assert variants[-1].factor == 2, "4 of 8 steps are timed"
    weights = [p.detach().clone() for p in network.train_step.denoiser.parameters()]

    def is_changed() -> bool:
        now = network.train_step.denoiser.parameters()
        return any(not torch.equal(a, b) for a, b in zip(weights, now, strict=True))

    for variant in variants[1:]:
        variant.run()
        assert not is_changed(), variant.kind
    variants[0].run()
    assert is_changed()
    assert all(v.memory > 0 for v in variants[:2])
    monkeypatch.setattr(timed_network, "free_memory", lambda _: 1000)
    assert network.build_variants(4, first=False) == [], "what does not fit is not computed"
