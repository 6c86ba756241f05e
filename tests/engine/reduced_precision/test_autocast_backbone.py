"""Only the network computes in a lower precision."""

import threading

import torch

from iddm_cli.engine.reduced_precision.autocast_backbone import lower_precision
from iddm_cli.networks.kernels import REFERENCE, KernelModule


def test_the_network_computes_in_it_and_its_estimate_of_x_is_float32(generator):
    denoiser = generator.denoiser
    lowered = lower_precision(denoiser, "bf16")
    seen = []
    for model in (denoiser, lowered):
        convolution = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
        convolution.register_forward_hook(lambda *call: seen.append(call[-1].dtype))
    inputs = torch.zeros(2, 3, 8, 8), torch.tensor([5, 50]), torch.tensor([0, 1])
    estimates = []

    def estimate(model) -> None:
        with torch.no_grad():
            estimates.append(model(*inputs))

    estimate(lowered)
    thread = threading.Thread(target=estimate, args=[lowered])  # autocast belongs to a thread
    thread.start()
    thread.join()
    estimate(denoiser)
    assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]
    assert {each.dtype for each in estimates} == {torch.float32}
    assert not torch.equal(estimates[0], estimates[2])
    assert all(parameter.dtype == torch.float32 for parameter in lowered.parameters())


def test_the_network_itself_keeps_its_kernels(generator):
    before = {name: tensor.stride() for name, tensor in generator.denoiser.named_parameters()}
    lower_precision(generator.denoiser, "bf16")
    after = {name: tensor.stride() for name, tensor in generator.denoiser.named_parameters()}
    assert after == before
    blocks = [m for m in generator.denoiser.modules() if isinstance(m, KernelModule)]
    assert {block.kernels for block in blocks} == {REFERENCE}


def test_fp32_is_the_denoiser_itself(generator):
    assert lower_precision(generator.denoiser, "fp32") is generator.denoiser
