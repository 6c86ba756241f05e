"""Weights of a network that grows with its images: more levels outside, larger patches.

A network with larger patches computes what the old one did of the images' averages: it shrinks an
image, and enlarges what the old network answers. One with more levels keeps all levels it had, the
innermost as the innermost. The new ones pass on what they get, so that the first old level sees the
averages of what it was trained on, and the output starts at zero, as an untrained network's does.
"""

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from iddm_cli.networks.blocks import Downsample, Upsample
from iddm_cli.networks.transferring.weight_transfer import find_name
from iddm_cli.networks.unet import UNet

FROM_OUTSIDE = re.compile(r"^(down|downsample)\.(\d+)\.")
"""Parts of a U-Net that are numbered from the outermost level; others begin at the innermost."""

BLOCK = re.compile(r"^(down|up)\.\d+\.blocks\.\d+\.")


def grow_patches(
    weights: dict[str, Tensor], new: nn.Module, *, channels: int, factor: int
) -> dict[str, Tensor]:
    """Return the weights of a network whose patches have sides that are `factor` times as long.

    It answers with what the old one answers for the images' averages over squares of that side,
    each pixel repeated over its square.

    Args:
        weights: The old network's weights, by name.
        new: The new network; only its structure matters.
        channels: Channels of the images, C.
        factor: Factor of the side of patches.
    """
    edges = new.edge_layers()  # type: ignore[operator]
    first, last = find_name(new, edges[0]), find_name(new, edges[-1])
    grown = dict(weights)
    name = f"{first}.weight"
    grown[name] = _repeat_pixels(weights[name], 1, channels, factor) / factor**2
    for name in (f"{last}.weight", f"{last}.bias"):
        grown[name] = _repeat_pixels(weights[name], 0, channels, factor)
    return grown


def _repeat_pixels(weight: Tensor, dim: int, channels: int, factor: int) -> Tensor:
    """Repeat the rows and columns of patches, which a dimension of C * side * side lists."""
    side = round((weight.shape[dim] / channels) ** 0.5)
    pixels = weight.unflatten(dim, (channels, side, side))
    for axis in (dim + 1, dim + 2):
        pixels = pixels.repeat_interleave(factor, dim=axis)
    return pixels.flatten(dim, dim + 2)


def add_levels(weights: dict[str, Tensor], new: UNet, levels: int) -> dict[str, Tensor]:
    """Return the weights of a U-Net with more levels outside, around those of an old one.

    A block beside the new levels stays untrained where it has another number of channels.

    Args:
        weights: The old network's weights, by name.
        new: The new network, untrained; it is changed.
        levels: Number of its levels that the old one did not have.
    """
    pass_through(new, levels)
    grown = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    kept = {_shift_name(name, levels): tensor for name, tensor in weights.items()}
    output = find_name(new, new.edge_layers()[-1])
    differing = {
        _find_block(name) for name, tensor in kept.items() if grown[name].shape != tensor.shape
    }
    for name, tensor in kept.items():
        if not name.startswith(f"{output}.") and _find_block(name) not in differing:
            grown[name] = tensor
    return grown


def _shift_name(name: str, levels: int) -> str:
    """Return the name that a tensor of the old network has in the new one."""
    return FROM_OUTSIDE.sub(lambda found: f"{found[1]}.{int(found[2]) + levels}.", name)


def _find_block(name: str) -> str:
    """Return the block that a tensor belongs to, or its own name where it belongs to none."""
    found = BLOCK.match(name)
    return found[0] if found else name


@torch.no_grad()
def pass_through(network: UNet, levels: int) -> None:
    """Let the outermost levels of an untrained U-Net pass on what they get.

    On the way down, each halves the size by averages; on the way up, each repeats what comes from
    below, and adds nothing of its skip connections.

    Args:
        network: The network, whose blocks start as identities.
        levels: Number of these levels.
    """
    for layer in _iter_layers(network, levels):
        if isinstance(layer, Downsample):
            _let_average(layer)
        elif isinstance(layer, Upsample):
            _let_copy(layer.conv)
        elif isinstance(layer, nn.Conv2d):
            _let_copy(layer)


def _iter_layers(network: UNet, levels: int) -> Iterator[nn.Module]:
    """Yield what is between the residual branches of the outermost levels."""
    yield from list(network.downsample)[:levels]
    yield from list(network.upsample)[len(network.upsample) - levels :]
    for level in (*list(network.down)[:levels], *list(network.up)[len(network.up) - levels :]):
        yield from (block.shortcut for block in level.blocks)  # type: ignore[union-attr]


def _let_copy(conv: nn.Conv2d) -> None:
    """Let a convolution copy its first channels, as far as there are such."""
    nn.init.dirac_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _let_average(layer: Downsample) -> None:
    """Let downsampling average squares of two by two, whichever side is padded."""
    conv = layer.conv
    start = 1 if isinstance(layer.pad, nn.Identity) else 0
    _let_copy(conv)
    kernel = torch.zeros(conv.weight.shape[2:])
    kernel[start : start + 2, start : start + 2] = 0.25
    conv.weight.copy_(conv.weight[:, :, 1:2, 1:2] * kernel)
