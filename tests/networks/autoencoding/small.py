"""A small autoencoder for tests."""

import torch

from iddm_cli.networks.autoencoding.autoencoder import Autoencoder


def build_small(**changes) -> Autoencoder:
    torch.manual_seed(0)
    sizes = {"downsampling": 4, "latent_channels": 3, "base_channels": 4, "norm_groups": 2}
    sizes |= {"channels": 1, "num_classes": 0, "blocks_per_level": 1, "latent_noise": 0.1}
    return Autoencoder(**{**sizes, **changes})
