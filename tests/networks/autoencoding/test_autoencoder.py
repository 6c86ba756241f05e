"""The autoencoder: sizes, bounded latents, and noise on them in training alone."""

import pytest
import torch

from iddm_cli.networks.autoencoding.autoencoder import Autoencoder

NOTHING = torch.zeros(2, dtype=torch.int64)


def build(**changes) -> Autoencoder:
    torch.manual_seed(0)
    sizes = {"downsampling": 4, "latent_channels": 3, "base_channels": 4, "norm_groups": 2}
    sizes |= {"channels": 1, "num_classes": 0, "blocks_per_level": 1, "latent_noise": 0.1}
    return Autoencoder(**{**sizes, **changes})


@pytest.mark.parametrize("downsampling", [4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_latent_has_its_channels_and_a_position_for_each_square_of_pixels(downsampling, channels):
    network = build(downsampling=downsampling, channels=channels)
    x = torch.randn(2, channels, 16, 24)
    z = network.encode(x)
    assert z.shape == (2, 3, 16 // downsampling, 24 // downsampling)
    assert network(x, NOTHING, NOTHING).shape == x.shape


def test_latents_are_bounded_whatever_the_image():
    z = build().encode(1e4 * torch.randn(2, 1, 16, 16))
    assert z.abs().max() <= 1


def test_the_answer_is_the_decoded_latent_and_ignores_time_and_label():
    network, x = build().eval(), torch.randn(2, 1, 16, 16)
    answer = network(x, NOTHING, NOTHING, torch.randn_like(x))
    assert torch.equal(answer, network.decoder(network.encode(x)))
    assert torch.equal(answer, network(x, NOTHING + 5, NOTHING + 1))


def test_noise_is_added_to_latents_in_training_alone():
    network, x = build().train(), torch.randn(2, 1, 16, 16)
    noise = torch.randn_like(x)
    folded = torch.nn.functional.pixel_unshuffle(noise, 4)[:, :3]
    expected = network.decoder(network.encode(x) + 0.1 * folded)
    assert torch.equal(network(x, NOTHING, NOTHING, noise), expected)
    assert torch.equal(network(x, NOTHING, NOTHING), network.eval()(x, NOTHING, NOTHING, noise))


def test_it_names_its_blocks_and_the_layers_of_pixels():
    network = build()
    assert len(network.units()) == 4
    assert network.edge_layers() == [network.encoder.conv_in, network.decoder.conv_out]
    assert network.class_table() is network.class_bias() is None
