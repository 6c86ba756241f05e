"""Decoding of generated latents."""

import torch

from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.networks.autoencoding.autoencoder import Autoencoder
from iddm_cli.records.latent_scale import LatentScale

SCALE = LatentScale((0.1, -0.2), (0.5, 0.25))


def build() -> tuple[Autoencoder, LatentDecoder]:
    torch.manual_seed(0)
    network = Autoencoder(
        channels=3, num_classes=0, downsampling=4, latent_channels=2, base_channels=8,
        blocks_per_level=1, norm_groups=4,
    ).eval()  # fmt: skip
    return network, LatentDecoder(network, SCALE, 3)


def test_the_scale_is_undone_and_images_are_decoded():
    network, decoder = build()
    raw = torch.rand(3, 2, 4, 4) - 0.5
    scaled = (raw - decoder._mean) / decoder._deviation
    with torch.no_grad():
        expected = network.decoder(raw)
    assert torch.allclose(decoder.decode(scaled), expected, atol=1e-5)


def test_an_image_is_the_same_alone_and_in_a_batch():
    _, decoder = build()
    latents = torch.randn(5, 2, 4, 4)
    batch = decoder.decode(latents)
    assert torch.equal(decoder.decode(latents[3:4]), batch[3:4])


def test_what_no_encoder_can_say_is_clipped():
    _, decoder = build()
    far = torch.full((1, 2, 4, 4), 100.0)
    assert torch.equal(decoder.decode(far), decoder.decode(2 * far))


def test_shapes_of_images_and_latents_belong_together():
    _, decoder = build()
    assert decoder.shape_images((2, 4, 6)) == (3, 16, 24)
    assert decoder.shape_latents((3, 16, 24)) == (2, 4, 6)
