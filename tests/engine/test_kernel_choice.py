"""The choice of kernels: measured once, then kept."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.engine import kernel_choice
from iddm_cli.engine.kernel_choice import USUAL, choose_kernels, measure_kernels, select_fastest
from iddm_cli.networks.kernels import KERNELS
from iddm_cli.networks.unet import UNet

SHAPE = (1, 8, 8)


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    network = UNet(
        channels=1, num_classes=0, base_channels=4, channel_multipliers=[1], blocks_per_level=1,
        attention_levels=[], head_channels=None, norm_groups=1, dropout=0.5,
    )  # fmt: skip
    return Denoiser(network, build_schedule("linear", 10), prediction="epsilon")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path))


def test_a_measurement_leaves_denoiser_and_random_numbers_as_they_are(denoiser: Denoiser):
    before = {name: tensor.clone() for name, tensor in denoiser.state_dict().items()}
    state = torch.random.get_rng_state()
    seconds = measure_kernels(denoiser, SHAPE, "fp32")
    assert USUAL in seconds and set(seconds) <= set(KERNELS)
    assert all(0 < value < 60 for value in seconds.values())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in denoiser.state_dict().items())
    assert all(parameter.grad is None for parameter in denoiser.parameters())


def test_kernels_must_be_faster_with_many_images_too(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
):
    few = dict.fromkeys(KERNELS, 0.04) | {"channels-last": 0.02, "channels-last-matmul": 0.03}
    scale, calls = 1.0, []

    def time_them(_denoiser: object, _shape: object, _precision: str, names, *, images: int):
        calls.append((images, {*names}))
        return {name: few[name] * scale for name in names}

    monkeypatch.setattr(kernel_choice, "time_kernels", time_them)
    compared = {USUAL, "channels-last", "channels-last-matmul"}
    assert set(measure_kernels(denoiser, SHAPE, "fp32")) == compared
    assert calls == [(kernel_choice.FEW, {*KERNELS}), (kernel_choice.MANY, compared)]
    calls.clear()
    scale = 100.0
    assert set(measure_kernels(denoiser, SHAPE, "fp32")) == {*KERNELS}
    assert len(calls) == 1, "a slow network is not measured with many images"
    scale, few = 1.0, dict.fromkeys(KERNELS, 0.04)
    measure_kernels(denoiser, SHAPE, "fp32")
    assert len(calls) == 2, "nothing is faster than the usual kernels"
    calls.clear()
    for size in (128, 512):
        few = dict.fromkeys(KERNELS, 0.04) | {"channels-last": 0.02}
        measure_kernels(denoiser, (1, size, size), "fp32")
    assert [images for images, _ in calls] == [2, 2], "more large images might not fit the memory"


def test_small_networks_are_not_measured(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernel_choice, "measure_kernels", None)
    assert choose_kernels(denoiser, SHAPE, "fp32") == USUAL


def test_others_are_measured_once_for_a_machine_network_and_precision(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
):
    calls = []

    def measure(_denoiser: Denoiser, _shape: object, precision: str) -> dict[str, float]:
        calls.append(precision)
        return dict.fromkeys(KERNELS, 2.0) | {"channels-last": 1.0}

    monkeypatch.setattr(kernel_choice, "MEASURED_FROM", 1)
    monkeypatch.setattr(kernel_choice, "measure_kernels", measure)
    for precision in ("fp32", "fp32", "bf16", "fp32"):
        assert choose_kernels(denoiser, SHAPE, precision) == "channels-last"
    assert calls == ["fp32", "bf16"]
    monkeypatch.setattr(kernel_choice, "read_cpu_model", lambda: "another")
    choose_kernels(denoiser, SHAPE, "fp32")
    assert calls == ["fp32", "bf16", "fp32"]


@pytest.mark.parametrize("content", [b"", b"unknown\n", b"\xff\n"])
def test_a_damaged_record_is_measured_again(
    denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch, tmp_path, content: bytes
):
    monkeypatch.setattr(kernel_choice, "MEASURED_FROM", 1)
    choose_kernels(denoiser, SHAPE, "fp32")
    (file,) = (tmp_path / "kernels").iterdir()
    file.write_bytes(content)
    assert choose_kernels(denoiser, SHAPE, "fp32") in KERNELS
    assert file.read_text().strip() in KERNELS


def test_noise_does_not_decide():
    assert select_fastest(dict.fromkeys(KERNELS, 1.0) | {"reference": 0.98}) == USUAL
    assert select_fastest(dict.fromkeys(KERNELS, 1.0) | {"reference": 0.9}) == "reference"
