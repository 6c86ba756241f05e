"""Sampling on a GPU: replayed calls compute what plain calls do."""

import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.diffusion.guidance import SamplingNetworks
from iddm_cli.engine.acceleration.cuda_graphs import GraphedDenoiser, graph_calls
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from tests.build.profiles import tiny_profile

GPU = torch.device("cuda", 0)


def make_denoiser():
    """Return a denoiser none of whose layers is still zero."""
    denoiser = build_denoiser(tiny_profile(), 2).requires_grad_(False).eval()
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return denoiser.to(GPU)


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_replays_compute_what_calls_do_also_after_the_weights_changed(precision):
    denoiser = make_denoiser()
    graphed = graph_calls(denoiser)
    assert isinstance(graphed, GraphedDenoiser)
    with torch.inference_mode(), torch.autocast("cuda", precision, enabled=precision is not None):
        for number in range(8):
            if number == 6:
                next(denoiser.parameters()).mul_(0.5)
                torch.clear_autocast_cache()
            x = torch.randn(4, 3, 16, 16, device=GPU)
            t = torch.full((4,), 10 * number, device=GPU)
            label = torch.tensor([0, 1, 2, 0], device=GPU)
            found, wanted = graphed(x, t, label), denoiser(x, t, label)
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert len(graphed._graphs) == 1


def test_images_are_the_same_with_and_without_graphs():
    profile = tiny_profile(sampling={"steps": 6, "guidance": 2.0})
    denoiser = make_denoiser()
    specs = [SampleSpec(label % 3, label) for label in range(10)]

    def generate(*, graphs: bool) -> torch.Tensor:
        generator = ImageGenerator(
            denoiser, profile.sampling, num_classes=2, shape=profile.data.shape
        )
        if not graphs:
            generator._networks = SamplingNetworks(denoiser, 2)
        samples = generator.generate(specs, seed=0, batch_size=4)
        return torch.stack([sample.pixels for sample in samples]).int()

    assert (generate(graphs=True) - generate(graphs=False)).abs().max() <= 1
