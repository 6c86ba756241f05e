"""Backbones: networks that take `(x_t, t, label)` and answer with a tensor shaped like x_t."""

from torch import nn

from iddm_cli.networks.autoencoding.autoencoder import Autoencoder
from iddm_cli.networks.dit import DiT
from iddm_cli.networks.iddm_unet import IddmUNet
from iddm_cli.networks.unet import UNet

NETWORKS: dict[str, type[nn.Module]] = {
    "unet": UNet,
    "iddm-unet": IddmUNet,
    "dit": DiT,
    "autoencoder": Autoencoder,
}
